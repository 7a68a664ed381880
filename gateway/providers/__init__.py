"""Who vouches: the providers one can sign in with, and what each of them says about a person.

registry ─► client ─┬─ discovery, keyset     documents of the provider, kept fresh (kept, transport)
                    ├─ client_auth           who we are, at its token endpoint
                    ├─ jws ─► id_token       the one verifier; only it makes `Verified`
                    ├─ userinfo              what the ID token leaves out
                    └─ claims ─► Identity    by declared mapping; openid and quirks hold the rules
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .registry import Providers

if TYPE_CHECKING:
    from .client import ProviderClient, Vouched

__all__ = ["ProviderClient", "Providers", "Vouched"]


def __getattr__(name: str) -> Any:
    """`ProviderClient` and `Vouched`, loaded when asked for: `registry` says why."""
    if name in __all__:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
