"""Every error the gateway answers with: its code, its HTTP status and a sentence that is safe to show.

GatewayError
├── ProviderFault      the provider is at fault or cannot be reached
├── AttemptFault       what the browser brought does not belong to a sign-in under way
├── Refusal            understood, and not allowed
└── RequestFault       the request itself is wrong
ConfigurationError     every fault of the configuration at once (never reaches HTTP)
CannotStart            something else that keeps the gateway from starting (never reaches HTTP)

The sentence is fixed text: it never holds a token, a code, a claim value or a stack. What happened inside
goes into `cause`, which only the log sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


class GatewayError(Exception):
    """Something to answer with. `cause` is for the log and is never shown."""

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong on our side."

    def __init__(self, cause: str = "") -> None:
        super().__init__(cause or self.sentence)
        self.cause = cause

    def explain(self) -> str:
        """What is shown: fixed text."""
        return self.sentence


class ProviderFault(GatewayError):
    """The provider answered what must not be believed, or did not answer."""

    status = 400


class ProviderUnavailable(ProviderFault):
    code = "provider_unavailable"
    status = 503
    sentence = "The sign-in service cannot be reached right now. Please try again in a moment."


class IssuerMismatch(ProviderFault):
    code = "issuer_mismatch"
    status = 400
    sentence = "The answer did not come from the sign-in service that was asked."


class IssuerMisconfigured(IssuerMismatch):
    """The discovery document names another issuer: the provider is unavailable until somebody mends it."""

    status = 503
    sentence = "The sign-in service presents itself under another name than the one configured."


class ProviderError(ProviderFault):
    code = "provider_error"
    sentence = "The sign-in service reported an error. Please start again."


class InvalidIdToken(ProviderFault):
    code = "invalid_id_token"
    sentence = "The sign-in service sent a proof of identity that could not be verified."


class NonceMismatch(InvalidIdToken):
    code = "nonce_mismatch"
    sentence = "The proof of identity belongs to another sign-in. Please start again."


class SubjectMismatch(ProviderFault):
    code = "subject_mismatch"
    sentence = "The sign-in service spoke about two different people. Please start again."


class AttemptFault(GatewayError):
    status = 400


class AttemptMissing(AttemptFault):
    code = "attempt_missing"
    sentence = "This browser has no such sign-in under way. Please start again."


class AttemptExpired(AttemptFault):
    code = "attempt_expired"
    sentence = "This sign-in took too long. Please start again."


class AttemptUsed(AttemptFault):
    code = "attempt_used"
    sentence = "This sign-in has been completed already. Please start again."


class AttemptMismatch(AttemptFault):
    code = "attempt_mismatch"
    sentence = "This answer belongs to another sign-in. Please start again."


class Refusal(GatewayError):
    status = 403


class ProviderDenied(Refusal):
    code = "provider_denied"
    sentence = "The sign-in was cancelled, or the sign-in service did not allow it."


class LoginRequired(Refusal):
    code = "login_required"
    sentence = "The sign-in service wants you to sign in there first."


class InteractionRequired(Refusal):
    code = "interaction_required"
    sentence = "The sign-in service wants to ask you something first."


class ConsentRequired(Refusal):
    code = "consent_required"
    sentence = "The sign-in service needs your consent first."


class TenantNotAllowed(Refusal):
    code = "tenant_not_allowed"
    sentence = "Accounts of this organisation cannot sign in here."


class DomainNotAllowed(Refusal):
    code = "domain_not_allowed"
    sentence = "Accounts of this domain cannot sign in here."


class SignupClosed(Refusal):
    code = "signup_closed"
    sentence = "There is no account for this person, and new accounts cannot be made here."


class AccountDisabled(Refusal):
    code = "account_disabled"
    sentence = "This account has been disabled."


class ReauthenticationRequired(Refusal):
    """`provider`: the one to sign in with again."""

    code = "reauthentication_required"
    sentence = "Please confirm that it is you: sign in again first."

    def __init__(
        self, provider: str, cause: str = "the sign-in is too long ago", *, back: str = "/auth/account"
    ) -> None:
        super().__init__(cause)
        self.provider = provider
        self.back = back  # the page to go on from afterwards


class TokenRefused(ProviderError):
    """A token that was kept is of no more use at its provider; the person would have to sign in there again."""


class NotConfirmed(Refusal):
    """The provider was asked for a fresh sign-in, and says that the person's was an old one."""

    code = "reauthentication_required"
    sentence = (
        "The sign-in service let you through without asking you. Sign out there first, then confirm that it is you."
    )


class IdentityTaken(Refusal):
    code = "identity_taken"
    status = 409
    sentence = "This sign-in belongs to another account already."


class LastIdentity(Refusal):
    code = "last_identity"
    status = 409
    sentence = "This is the only way into the account, so it cannot be removed."


class AccountExists(Refusal):
    code = "account_exists"
    status = 409
    sentence = (
        "There is an account with this verified address already. Sign in to it as before, then link this sign-in."
    )


class JoinMismatch(AttemptFault):  # the known identity that was to be proven is not the one that came
    code = "attempt_mismatch"
    sentence = "You signed in with another account than the one you were asked for."


class CannotUndo(Refusal):  # an operator asked for it; the cause says why
    code = "not_found"
    status = 409
    sentence = "This cannot be undone."


class CrossSite(Refusal):
    code = "cross_site"
    sentence = "This request came from another site and was not carried out."


class InsufficientScope(Refusal):
    code = "insufficient_scope"
    sentence = "This needs a permission that is missing."


class RequestFault(GatewayError):
    code = "invalid_request"
    status = 400
    sentence = "The request is malformed."


class UnprovenApp(RequestFault):
    """Whoever started this is not sent anywhere: the address to return to is not one of a known application."""

    sentence = "The application that sent you here is not known, or wants to return to an address that is not its own."


class UnknownProvider(RequestFault):
    code = "unknown_provider"
    status = 404
    sentence = "There is no such sign-in service here."


class NotFound(RequestFault):
    code = "not_found"
    status = 404
    sentence = "There is nothing here."


class MethodNotAllowed(RequestFault):
    status = 405
    sentence = "This address does not take that method."

    def __init__(self, cause: str = "", *, allowed: Iterable[str] = ()) -> None:
        super().__init__(cause)
        self.allowed = tuple(sorted(allowed))  # the methods it does take


class TooLarge(RequestFault):
    status = 413
    sentence = "The request is too large."


class UnsupportedMediaType(RequestFault):
    status = 415
    sentence = "The request has a content type that is not taken here."


class RedirectNotAllowed(RequestFault):
    code = "redirect_not_allowed"
    sentence = "The address to return to is not allowed."


class NotSignedIn(RequestFault):
    code = "not_signed_in"
    status = 401
    sentence = "You are not signed in."


class SignInTooOld(NotSignedIn):
    """Somebody is signed in, but longer than is allowed for this (RFC 9470 section 3). `max_age`: seconds."""

    code = "insufficient_user_authentication"
    sentence = "This needs a sign-in of a moment ago: please sign in again."

    def __init__(self, max_age: int) -> None:
        super().__init__(f"the sign-in is older than {max_age} s")
        self.max_age = max_age


class InvalidToken(RequestFault):
    code = "invalid_token"
    status = 401
    sentence = "The token is expired, revoked or malformed."


class InvalidGrant(RequestFault):
    code = "invalid_grant"
    status = 400
    sentence = "The grant is invalid, expired or revoked."


class NotExchanged(InvalidGrant):
    """A provider's ID token was not taken, or whom it is about is not admitted; `reason` says why."""

    def __init__(self, reason: GatewayError) -> None:
        super().__init__(f"{reason.code}: {reason.cause}")
        self.reason = reason

    def explain(self) -> str:
        return self.reason.sentence


class JoinFirst(InvalidGrant):
    sentence = (
        "There is an account with this verified address already. Sign in to it in a browser first and link this"
        " sign-in, or answer the question that signing in with it there asks."
    )


class SessionOver(InvalidGrant):
    """The browser session cannot be renewed: its cookies are cleared."""

    status = 401
    sentence = "Your session has ended. Please sign in again."


class InvalidScope(RequestFault):
    code = "invalid_scope"
    sentence = "The requested scope is invalid or exceeds what was granted."


class InvalidClient(RequestFault):
    code = "invalid_client"
    status = 401
    sentence = "The client is unknown or did not prove who it is."


class InvalidTarget(RequestFault):
    code = "invalid_target"
    sentence = "Tokens for that audience cannot be had here."


class UnauthorizedClient(RequestFault):
    code = "unauthorized_client"
    sentence = "This client may not ask for that."


class UnsupportedTokenType(RequestFault):
    code = "unsupported_token_type"
    sentence = "A token of this kind cannot be revoked; it expires by itself."


class UnsupportedGrantType(RequestFault):
    code = "unsupported_grant_type"
    sentence = "This grant type is not supported."


class RateLimited(GatewayError):
    code = "rate_limited"
    status = 429
    sentence = "Too many requests. Please wait a moment."

    def __init__(self, cause: str = "", *, retry_after: int = 1) -> None:
        super().__init__(cause)
        self.retry_after = retry_after  # seconds


class Unavailable(GatewayError):
    """The database or the keys cannot be reached: nobody can tell, so nobody passes."""

    code = "temporarily_unavailable"
    status = 503
    sentence = "The service cannot answer right now. Please try again in a moment."


class Overtaken(Unavailable):
    """Somebody else changed at the same moment what this work goes by. Done again, it finds what is true then."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in the configuration, and what mends it."""

    where: str  # file, environment variable or flag
    table: str  # "gateway", "providers.google", …; "" for the file as a whole
    key: str
    seen: str  # what was found there; never a secret
    hint: str


class ConfigurationError(Exception):
    """The configuration cannot be used. Holds every fault found, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} fault(s) in the configuration")
        self.faults = tuple(faults)


class CannotStart(Exception):
    """The gateway cannot start: what is wrong, and what mends it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} {hint}")
        self.what = what
        self.hint = hint
