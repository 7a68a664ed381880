"""Stand-in OpenID providers for demonstrations and tests: they run on this machine and know nothing of the gateway."""

from gateway.testing.behaviour import Behaviour
from gateway.testing.clients import Client
from gateway.testing.google import Google
from gateway.testing.microsoft import Microsoft
from gateway.testing.people import Person
from gateway.testing.provider import StandIn

__all__ = ["Behaviour", "Client", "Google", "Microsoft", "Person", "StandIn"]
