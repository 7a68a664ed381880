"""Calls a stand-in received, kept so that a test can say what was asked, in which order, and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"


class Refused(Exception):
    """A call that broke a rule: the OAuth error code, which rule, and the HTTP status."""

    def __init__(self, error: str, rule: str, status: int = 400) -> None:
        super().__init__(rule)
        self.error = error
        self.rule = rule
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the endpoint's name (`token`, `userinfo`, …), and everything that came with it."""

    endpoint: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...]
    headers: Headers

    @property
    def params(self) -> dict[str, str]:
        return dict((*self.query, *self.form))

    def check_single(self) -> None:
        """No parameter twice (RFC 6749 section 3.1)."""
        names = [name for name, _ in (*self.query, *self.form)]
        if len(names) != len(set(names)):
            raise Refused("invalid_request", "a parameter came twice")


async def received(endpoint: str, request: Request) -> Call:
    body = (await request.body()).decode("utf-8", "replace")
    is_form = request.headers.get("content-type", "").partition(";")[0].strip() == FORM
    form = parse_qsl(body, keep_blank_values=True) if is_form else []
    query = parse_qsl(request.url.query, keep_blank_values=True)
    return Call(endpoint, request.method, request.url.path, tuple(query), tuple(form), request.headers)
