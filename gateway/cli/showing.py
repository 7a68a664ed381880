"""Accounts as an operator sees them: aligned for people, stable JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.accounts import Account, LinkedIdentity
from gateway.flows.operate import Listed, Shown
from gateway.sessions import Session

WIDEST = 40  # characters of a cell


def account_json(account: Account) -> dict[str, Any]:
    return {
        "id": str(account.id),
        "email": account.email,
        "email_verified": account.email_verified,
        "name": account.name,
        "created_at": account.created_at,
        "disabled_at": account.disabled_at,
        "delete_at": account.delete_at,
        "merged_into": str(account.merged_into) if account.merged_into else None,
    }


def identity_json(identity: LinkedIdentity) -> dict[str, Any]:
    return {
        "id": str(identity.id),
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "linked_at": identity.linked_at,
        "last_used_at": identity.last_used_at,
    }


def session_json(session: Session) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "provider": session.provider,
        "client_id": session.client_id,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
        "user_agent": session.user_agent,
        "ip": session.ip,
    }


def listed_json(listed: Listed) -> dict[str, Any]:
    return account_json(listed.account) | {"identities": [identity_json(each) for each in listed.identities]}


def shown_json(shown: Shown) -> dict[str, Any]:
    return account_json(shown.account) | {
        "identities": [identity_json(each) for each in shown.identities],
        "sessions": [session_json(each) for each in shown.sessions],
        "granted_roles": list(shown.roles),
        "merged_from": [str(each) for each in shown.merged_from],
    }


def listed_table(found: Sequence[Listed]) -> str:
    heads = ("ID", "E-MAIL", "NAME", "SIGNS IN WITH", "CREATED", "STATE")
    return table([heads, *(listed_row(each) for each in found)])


def listed_row(listed: Listed) -> tuple[str, ...]:
    account = listed.account
    providers = dict.fromkeys(identity.provider for identity in listed.identities)
    return (
        str(account.id),
        account.email or "-",
        account.name or "-",
        ", ".join(providers) or "-",
        moment(account.created_at),
        state(account).partition(" ")[0],
    )


def state(account: Account) -> str:
    if account.merged_into:
        return f"merged into {account.merged_into}"
    if account.disabled_at:
        return f"disabled since {moment(account.disabled_at)}"
    if account.delete_at:
        return f"leaving: deleted on {moment(account.delete_at)} unless its owner signs in"
    return "active"


def shown_text(shown: Shown) -> str:
    account = shown.account
    facts = table(
        [
            ("Account", str(account.id)),
            ("E-mail", address(account.email, account.email_verified)),
            ("Name", account.name or "-"),
            ("Created", moment(account.created_at)),
            ("State", state(account)),
            ("Granted roles", ", ".join(shown.roles) or "-"),
            ("Merged from", ", ".join(map(str, shown.merged_from)) or "-"),
        ],
        widest=320,
    )
    return "\n\n".join((facts, identities_text(shown.identities), sessions_text(shown.sessions)))


def identities_text(identities: Sequence[LinkedIdentity]) -> str:
    if not identities:
        return "No identities."
    heads = ("IDENTITY", "E-MAIL", "ISSUER", "SUBJECT", "LINKED", "LAST USED")
    rows = [
        (
            each.provider,
            address(each.email, each.email_verified),
            each.issuer,
            each.subject,
            moment(each.linked_at),
            moment(each.last_used_at),
        )
        for each in identities
    ]
    return table([heads, *rows], widest=80)


def sessions_text(sessions: Sequence[Session]) -> str:
    if not sessions:
        return "No sessions."
    heads = ("SESSION", "SIGNED IN WITH", "SINCE", "LAST USED", "ADDRESS", "PROGRAM")
    rows = [
        (
            str(each.id),
            each.provider,
            moment(each.created_at),
            moment(each.last_used_at),
            each.ip or "-",
            each.user_agent or "-",
        )
        for each in sessions
    ]
    return table([heads, *rows])


def address(email: str | None, verified: bool) -> str:
    return f"{email} ({'verified' if verified else 'not verified'})" if email else "-"


def moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}Z"


def table(rows: Sequence[Sequence[str]], widest: int = WIDEST) -> str:
    """Columns as wide as they need to be, two spaces apart."""
    cells = [[cell(text, widest) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def cell(text: str, widest: int) -> str:
    """Text as a terminal may be given it: a name can hold what would steer one."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return plain if len(plain) <= widest else f"{plain[: widest - 1]}…"
