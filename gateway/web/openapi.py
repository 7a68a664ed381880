"""/openapi.json: `openapi.toml` and the error tree, put together as OpenAPI 3.1; and /docs, the same as a page."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import errors
from gateway.errors import GatewayError, NotFound

from .limits import bucket_for
from .pages import Pages
from .parts import Parts, parts_of
from .reference import reference

Tree = dict[str, Any]

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ALL_ANSWERS = {"X-Request-Id": "Names the request, here and in the log."}
BY_STATUS = {
    401: {"WWW-Authenticate": "How to prove who asks (RFC 6750)."},
    429: {"Retry-After": "Seconds to wait."},
}
# Who may call, and what they can meet besides what the operation itself refuses.
CALLERS: Mapping[str | None, tuple[list[Tree], tuple[str, ...]]] = {
    None: ([], ()),
    "optional": ([{}, {"bearer": []}, {"session": []}], ("RequestFault", "InsufficientScope", "Unavailable")),
    "required": (
        [{"bearer": []}, {"session": []}],
        ("RequestFault", "NotSignedIn", "InvalidToken", "InsufficientScope", "Unavailable"),
    ),
    "refresh": ([{"refresh": []}], ()),
}


def describe(public_url: str, access_cookie: str, refresh_cookie: str) -> Tree:
    """The description of a gateway at this address, whose cookies have these names."""
    told, shapes = read("openapi.toml"), read("openapi_schemas.toml")
    paths: dict[str, Tree] = defaultdict(dict)
    for each in told["operations"]:
        method, path = each["call"].split(" ")
        paths[path][method.lower()] = operation(each, path, told["parameters"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Login gateway", "version": "1", "description": told["about"]},
        "servers": [{"url": public_url}],
        "tags": [{"name": group["name"], "description": group["text"]} for group in told["groups"]],
        "paths": dict(paths),
        "components": {
            "schemas": {name: shape(each, shapes["absent"].get(name, [])) for name, each in shapes["schemas"].items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {"type": "apiKey", "in": "cookie", "name": access_cookie},
                "refresh": {"type": "apiKey", "in": "cookie", "name": refresh_cookie},
            },
        },
    }


def read(name: str) -> Tree:
    return tomllib.loads((resources.files("gateway.web") / name).read_text())


def operation(told: Tree, path: str, parameters: Tree) -> Tree:
    security, met = CALLERS[told.get("caller")]
    made: Tree = {"operationId": told["id"], "tags": [told["group"]], "summary": told["summary"]}
    if "text" in told:
        made["description"] = told["text"]
    if "parameters" in told:
        made["parameters"] = [parameter(name, parameters[name]) for name in told["parameters"]]
    if body := told.get("body"):
        kinds = ((JSON, body.get("json")), (FORM, body.get("form")))
        made["requestBody"] = {
            "required": not body.get("optional", False),
            "content": {kind: {"schema": ref(name)} for kind, name in kinds if name},
        }
    if security:
        made["security"] = security
    answers = {status: answer(int(status), each) for status, each in told["answers"].items()}
    names = {*told.get("refusals", ()), *met, *surroundings(told, path)}
    made["responses"] = answers | {
        str(status): refusal(status, kinds) for status, kinds in by_status(names).items() if str(status) not in answers
    }
    return made


def surroundings(told: Tree, path: str) -> Iterator[str]:
    """What can happen to a request before its handler sees it, or on the way there."""
    if told.get("changes"):
        yield "CrossSite"
    if "body" in told:
        yield from ("RequestFault", "TooLarge")
    if "parameters" in told and "{name}" not in path:
        yield "RequestFault"
    if bucket_for(path):
        yield "RateLimited"


def parameter(name: str, told: Tree) -> Tree:
    where = told["in"]
    return {
        "name": told.get("name", name),
        "in": where,
        "required": where == "path",
        "description": told["text"],
        "schema": told["schema"],
    }


def answer(status: int, told: Tree) -> Tree:
    made: Tree = {"description": told["text"], "headers": headers(told.get("headers", {}))}
    if 300 <= status < 400:
        made["headers"] |= headers({"Location": "Where to go on."}, required=True)
    if "json" in told:
        made["content"] = {JSON: {"schema": ref(told["json"])}}
    elif "list" in told:
        made["content"] = {JSON: {"schema": {"type": "array", "items": ref(told["list"])}}}
    elif told.get("html"):
        made["content"] = {"text/html": {"schema": {"type": "string"}}}
    elif "types" in told:
        made["content"] = {kind: {"schema": {"type": "string"}} for kind in told["types"]}
    return made


def refusal(status: int, kinds: list[type[GatewayError]]) -> Tree:
    sentences = {f"`{kind.code}`: {kind.sentence}" for kind in kinds}
    codes = sorted({kind.code for kind in kinds})
    named = {"allOf": [ref("Error"), {"properties": {"error": {"enum": codes}}}]}
    return {
        "description": "\n\n".join(sorted(sentences)),
        "headers": headers(BY_STATUS.get(status, {}), required=status == 429),
        "content": {JSON: {"schema": named}, "text/html": {"schema": {"type": "string"}}},
    }


def headers(told: Mapping[str, str], *, required: bool = False) -> Tree:
    shown = {name: (text, required) for name, text in told.items()}
    shown |= {name: (text, True) for name, text in ALL_ANSWERS.items()}
    return {
        name: {"description": text, "required": always, "schema": {"type": "string"}}
        for name, (text, always) in shown.items()
    }


def by_status(names: set[str]) -> dict[int, list[type[GatewayError]]]:
    """The classes of these names in errors.py, by the status they answer with."""
    found: dict[int, list[type[GatewayError]]] = defaultdict(list)
    for name in sorted(names):
        kind: type[GatewayError] = getattr(errors, name)
        found[kind.status].append(kind)
    return dict(sorted(found.items()))


def shape(members: Tree, absent: list[str]) -> Tree:
    return {
        "type": "object",
        "required": [name for name in members if name not in absent],
        "properties": {name: member(dict(told)) for name, told in members.items()},
    }


def member(told: Tree) -> Tree:
    text = {"description": told.pop("text")} if "text" in told else {}
    if "list" in told:
        return {"type": "array", "items": ref(told["list"]), **text}
    if "object" in told:
        return ref(told["object"]) | text
    return told | text


def ref(name: str) -> Tree:
    return {"$ref": f"#/components/schemas/{name}"}


def told_by(parts: Parts) -> tuple[str, str, str]:
    """What the description of this gateway is made from. NotFound where `docs` is off."""
    if not parts.settings.docs:
        raise NotFound("docs is off")
    return parts.settings.public_url, parts.cookies.access, parts.cookies.refresh


@lru_cache(maxsize=8)
def as_json(*told: str) -> bytes:
    return json.dumps(describe(*told), ensure_ascii=False).encode()


@lru_cache(maxsize=8)
def as_page(pages: Pages, *told: str) -> bytes:
    return pages.api(reference(describe(*told))).encode()


async def openapi(request: Request) -> Response:
    """GET /openapi.json."""
    return Response(as_json(*told_by(parts_of(request.scope))), media_type="application/json")


async def docs(request: Request) -> Response:
    """GET /docs: rendered here, without a script."""
    parts = parts_of(request.scope)
    return HTMLResponse(as_page(parts.pages, *told_by(parts)))


routes = [Route("/openapi.json", openapi), Route("/docs", docs)]
