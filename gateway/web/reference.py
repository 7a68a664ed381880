"""The description of `openapi.py` as people read it: what the page /docs shows, as views. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Tree = Mapping[str, Any]

CALLERS = {
    "bearer": "Bearer token",
    "session": "session cookie",
    "refresh": "refresh cookie",
}


class Member(NamedTuple):
    """A parameter, or a member of a shape. `kind` is what it looks like, `place` where a parameter goes."""

    name: str
    kind: str
    required: bool
    text: str
    place: str = ""
    shape: str | None = None  # the shape its values have


class Answer(NamedTuple):
    status: str
    lines: tuple[str, ...]
    shape: str | None = None
    many: bool = False


class Call(NamedTuple):
    """One operation. `callers` is empty where anybody may ask."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    callers: str
    parameters: tuple[Member, ...]
    body: str | None  # the shape of what it takes
    form: bool  # whether it takes that as a form, not as JSON
    answers: tuple[Answer, ...]


class Group(NamedTuple):
    id: str
    name: str
    text: str
    calls: tuple[Call, ...]


class Shape(NamedTuple):
    name: str
    members: tuple[Member, ...]


class ApiView(NamedTuple):
    url: str
    about: str
    groups: tuple[Group, ...]
    shapes: tuple[Shape, ...]


def reference(description: Tree) -> ApiView:
    """An OpenAPI description, as far as `openapi.py` makes use of the format."""
    calls = [
        (operation["tags"][0], call(method, path, operation))
        for path, item in description["paths"].items()
        for method, operation in item.items()
    ]
    groups = tuple(
        Group(
            tag["name"].lower().replace(" ", "-"),
            tag["name"],
            tag["description"],
            tuple(call for group, call in calls if group == tag["name"]),
        )
        for tag in description["tags"]
    )
    shapes = description["components"]["schemas"].items()
    return ApiView(
        description["servers"][0]["url"],
        description["info"]["description"],
        groups,
        tuple(Shape(name, members(told)) for name, told in shapes),
    )


def call(method: str, path: str, told: Tree) -> Call:
    bodies = told.get("requestBody", {}).get("content", {})
    return Call(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told["summary"],
        text=told.get("description", ""),
        callers=callers(told.get("security", [])),
        parameters=tuple(parameter(each) for each in told.get("parameters", ())),
        body=next((named(body["schema"]) for body in bodies.values()), None),
        form="application/json" not in bodies,
        answers=tuple(answer(status, each) for status, each in sorted(told["responses"].items())),
    )


def callers(security: list[Tree]) -> str:
    ways = [CALLERS[name] for each in security for name in each]
    if not ways:
        return ""
    words = " or ".join(ways)
    return f"{words}, if there is one" if {} in security else words


def parameter(told: Tree) -> Member:
    return Member(told["name"], kind_of(told["schema"]), told["required"], told["description"], place=told["in"])


def answer(status: str, told: Tree) -> Answer:
    schema = told.get("content", {}).get("application/json", {}).get("schema", {})
    lines = tuple(told["description"].split("\n\n"))
    return Answer(status, lines, named(schema) or named(schema.get("items", {})), "items" in schema)


def members(shape: Tree) -> tuple[Member, ...]:
    return tuple(
        Member(
            name,
            kind_of(told),
            name in shape["required"],
            told.get("description", ""),
            shape=named(told) or named(told.get("items", {})),
        )
        for name, told in shape["properties"].items()
    )


def named(schema: Tree) -> str | None:
    """The name of the shape that a schema refers to."""
    target: str = schema.get("$ref") or next((each["$ref"] for each in schema.get("allOf", ()) if "$ref" in each), "")
    return target.rpartition("/")[2] or None


def kind_of(schema: Tree) -> str:
    """What a value looks like, in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "object")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    return f"{words}, {schema['format']}" if "format" in schema else words
