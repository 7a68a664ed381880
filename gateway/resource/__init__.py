"""For APIs: checks of access tokens, this gateway's and other issuers', without the server's parts.

Needs joserfc and httpx2. Each framework's module is imported by its name: `gateway.resource.fastapi`, `.starlette`,
`.flask`, `.django`, `.asgi`, `.wsgi`; `gateway.resource.compat` has the names of fastapi-microsoft-identity.
"""

from .entra import B2C, Entra, ExternalId
from .errors import (
    CannotTell,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    NothingSent,
    Refused,
)
from .issuers import AccessTokens, GoogleIdTokens, OpenID
from .principal import Principal
from .require import Requirement, check, requirement
from .verifier import Verifier

__all__ = [
    "B2C",
    "AccessTokens",
    "CannotTell",
    "Entra",
    "ExternalId",
    "GoogleIdTokens",
    "InsufficientAuthentication",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "NothingSent",
    "OpenID",
    "Principal",
    "Refused",
    "Requirement",
    "Verifier",
    "check",
    "requirement",
]
