"""Who vouches: the providers one can sign in with, and what each of them says about a person.

registry ─► client ─┬─ discovery, keyset     documents of the provider, kept fresh (kept, transport)
                    ├─ client_auth           who we are, at its token endpoint
                    ├─ jws ─► id_token       the one verifier; only it makes `Verified`
                    ├─ userinfo              what the ID token leaves out
                    └─ claims ─► Identity    by declared mapping; openid and quirks hold the rules
"""

from .client import ProviderClient, Vouched
from .registry import Providers

__all__ = ["ProviderClient", "Providers", "Vouched"]
