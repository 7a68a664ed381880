"""Why a request may not pass: for the caller a challenge that tells nothing more than RFC 6750 asks for, for the log
and for development mode what to change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

LONGEST = 100  # characters of a foreign value that an explanation quotes
UNQUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")  # RFC 6750 section 3: what error_description may not hold


class Refused(Exception):
    """`explanation` names what is wrong, and what to change. It is for the log and for development mode only."""

    status: ClassVar[int]
    error: ClassVar[str | None]  # code of RFC 6750 section 3.1 or RFC 9470 section 3
    sentence: ClassVar[str]  # for everybody

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation

    def attributes(self) -> dict[str, str]:
        """What the challenge says besides the error."""
        return {}


class NothingSent(Refused):
    """No token at all: the answer says how to present one, and nothing else (RFC 6750 section 3.1)."""

    status, error = 401, None
    sentence = "A Bearer token is needed."


class InvalidRequest(Refused):
    """A header that cannot be understood, or came twice."""

    status, error = 400, "invalid_request"
    sentence = "The Authorization header is malformed."


class InvalidToken(Refused):
    status, error = 401, "invalid_token"
    sentence = "The access token is not valid here."


class InsufficientScope(Refused):
    """A valid token that does not suffice. `scopes`: what a token would need, where it is a scope that is missing."""

    status, error = 403, "insufficient_scope"
    sentence = "The access token does not suffice for this."

    def __init__(self, explanation: str, scopes: Sequence[str] = ()) -> None:
        super().__init__(explanation)
        self.scopes = tuple(scopes)

    def attributes(self) -> dict[str, str]:
        return {"scope": " ".join(self.scopes)} if self.scopes else {}


class InsufficientAuthentication(Refused):
    """The person signed in too long ago (RFC 9470). `max_age` in seconds."""

    status, error = 401, "insufficient_user_authentication"
    sentence = "A more recent sign-in is needed."

    def __init__(self, explanation: str, max_age: int) -> None:
        super().__init__(explanation)
        self.max_age = max_age

    def attributes(self) -> dict[str, str]:
        return {"max_age": str(self.max_age)}


class CrossSite(Refused):
    """A cookie was sent along with what another site's page asks for."""

    status, error = 403, "cross_site"
    sentence = "The request comes from another site."


class CannotTell(Refused):
    """No keys, or no news of ended sessions: nobody passes on doubt."""

    status, error = 503, "temporarily_unavailable"
    sentence = "The token cannot be checked at the moment."


def quoted(value: object) -> str:
    """A foreign value for an explanation: short, printable, without quotation marks of its own."""
    text = value if isinstance(value, str) else repr(value)
    cut = text[:LONGEST] + ("…" if len(text) > LONGEST else "")
    return f"'{UNQUOTABLE.sub('?', cut)}'"
