"""The table `[gateway]`: defaults that follow from other values, and what its keys ask of each other."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .addresses import is_sqlite, split, sqlite_file
from .parse import Unfit
from .secret_files import MAKE_ONE, explain, kept_keys, keys_file
from .tables import Table

DEFAULT_PORT = 8000
DEFAULT_DATABASE = "sqlite:///gateway.db"


def complete(table: Table, port: int) -> None:
    """Put in the defaults that are not the same for everybody."""
    values = table.values
    values.setdefault("public_url", f"http://localhost:{port}")
    values.setdefault("database_url", DEFAULT_DATABASE)
    values.setdefault("audience", values["public_url"])


def judge(table: Table) -> None:
    """Faults that only show when several keys are seen together."""
    judge_signup(table)
    judge_cookie_domain(table)
    judge_default_redirect(table)
    judge_keys(table)


def judge_signup(table: Table) -> None:
    signup, domains = table.values.get("signup", "open"), table.values.get("signup_domains")
    if not table.sound("signup", "signup_domains"):
        return
    if signup == "domains" and not domains:
        table.fault("signup_domains", "missing", "Name the domains that may sign up, or choose another signup.")
    if signup == "open" and domains:
        hint = 'With signup = "open" the list restricts nothing: write signup = "domains".'
        table.fault("signup_domains", "signup is open", hint)


def judge_keys(table: Table) -> None:
    given = "secret_keys" in table.values or not table.sound("secret_keys", "database_url")
    if not given and not is_sqlite(table.values["database_url"]):
        hint = f"A server database is shared, so the keys must be given. {MAKE_ONE}"
        table.fault("secret_keys", "missing", hint)


def judge_cookie_domain(table: Table) -> None:
    domain = table.values.get("cookie_domain")
    host = split(table.values["public_url"]).host
    if domain and table.sound("public_url") and host != domain and not host.endswith("." + domain):
        table.fault("cookie_domain", f'"{domain}"', f"Choose the host of public_url ({host}) or a domain above it.")


def judge_default_redirect(table: Table) -> None:
    target = table.values.get("default_redirect", "/")
    if target.startswith("/") or not table.sound("public_url", "allowed_redirects"):
        return
    address = split(target)
    own = split(table.values["public_url"]).origin
    allowed = (own, *table.values.get("allowed_redirects", ()))
    if not any(reaches(prefix, address.origin, address.path) for prefix in allowed):
        table.fault(
            "default_redirect",
            "not allowed",
            "Add its origin to allowed_redirects, or give a path: /auth/account",
        )


def reaches(prefix: str, origin: str, path: str) -> bool:
    """Whether an origin alone, or a prefix that ends in `/`, covers the target."""
    return prefix == origin or (prefix.endswith("/") and (origin + path).startswith(prefix))


def find_keys(table: Table, *, make: bool) -> tuple[bytes, ...]:
    """The secret keys: those given, or those kept beside the SQLite file, made there when there are none.

    Without `make`, or with a fault, nothing is written: passing keys stand in for those not there yet.
    """
    passing = (secrets.token_bytes(48),)
    values: Mapping[str, Any] = table.values
    if "secret_keys" in values or not table.sound("secret_keys", "database_url"):
        return tuple(values.get("secret_keys", passing))
    database = sqlite_file(values["database_url"])
    if database is None:
        return passing
    path = keys_file(database)
    try:
        if path.exists() or (make and not table.faults):
            return kept_keys(path)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(13, "folder missing or not writable")
    except Unfit as unfit:
        table.fault("secret_keys", f"{describe_path(path)}: {unfit.seen}", unfit.hint)
    except (OSError, ValueError) as fault:
        hint = "The keys are kept beside the database: make that folder writable, or give secret_keys."
        table.fault("database_url", f"{describe_path(path)}: {explain(fault)}", hint)
    return passing


def describe_path(path: Path) -> str:
    return ascii(str(path))[1:-1]
