"""The login gateway: sign in with any OpenID provider, one account, our own sessions and tokens."""

__version__ = "0.1.0"

from .app import create_app

__all__ = ["__version__", "create_app"]
