"""Stand-ins for demonstrations and tests: OpenID providers, and the gateway towards an API. They run on this machine
and know nothing of the gateway's inside."""

from gateway.testing.behaviour import Behaviour
from gateway.testing.clients import Client
from gateway.testing.google import Google
from gateway.testing.issuer import Issuer, issuer
from gateway.testing.login import login_as
from gateway.testing.microsoft import Microsoft
from gateway.testing.people import Person
from gateway.testing.provider import StandIn
from gateway.testing.server import GatewayServer, SignInRefused

__all__ = [
    "Behaviour",
    "Client",
    "GatewayServer",
    "Google",
    "Issuer",
    "Microsoft",
    "Person",
    "SignInRefused",
    "StandIn",
    "issuer",
    "login_as",
]
