"""The description agrees with the routes and the errors there are; its page is plain, linked and readable."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway import errors
from gateway.app import ROUTES
from gateway.errors import GatewayError
from gateway.web.limits import bucket_for
from gateway.web.openapi import describe
from gateway.web.pages import Pages
from gateway.web.reference import reference

from harness import free_port, running, settings_for

URL = "https://login.example.com/sso"
DESCRIPTION = describe(URL, "__Host-gateway", "__Secure-gateway-refresh")
PAGE = Pages(title="login.example.com", base="/sso").api(reference(DESCRIPTION))
CALLS = [(method.upper(), path, call) for path, item in DESCRIPTION["paths"].items() for method, call in item.items()]
NAMES = [f"{method} {path}" for method, path, _ in CALLS]


def walk(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object within."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from walk(child)


def test_it_describes_the_routes_there_are_and_no_others() -> None:
    routes = {(method, route.path) for route in ROUTES for method in route.methods or {"GET"} if method != "HEAD"}
    assert {(method, path) for method, path, _ in CALLS} == routes


def test_operations_have_names_of_their_own() -> None:
    ids = [call["operationId"] for _, _, call in CALLS]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in DESCRIPTION["components"]["schemas"]}
    told = {each["$ref"] for each in walk(DESCRIPTION) if "$ref" in each}
    assert told == known  # and nothing is described that nothing refers to


def test_every_security_requirement_is_defined() -> None:
    named = {name for _, _, call in CALLS for way in call.get("security", ()) for name in way}
    assert named == set(DESCRIPTION["components"]["securitySchemes"])


def test_every_group_is_described() -> None:
    assert {tag["name"] for tag in DESCRIPTION["tags"]} == {tag for _, _, call in CALLS for tag in call["tags"]}


@pytest.mark.parametrize(("method", "path", "call"), CALLS, ids=NAMES)
def test_path_parameters_are_those_of_the_path(method: str, path: str, call: dict[str, Any]) -> None:
    told = {each["name"] for each in call.get("parameters", ()) if each["in"] == "path"}
    assert told == {part[1:-1] for part in path.split("/") if part.startswith("{")}


@pytest.mark.parametrize(("method", "path", "call"), CALLS, ids=NAMES)
def test_every_answer_carries_the_request_id(method: str, path: str, call: dict[str, Any]) -> None:
    assert all(answer["headers"]["X-Request-Id"]["required"] for answer in call["responses"].values())


@pytest.mark.parametrize(("method", "path", "call"), CALLS, ids=NAMES)
def test_what_is_counted_may_be_refused_for_its_number(method: str, path: str, call: dict[str, Any]) -> None:
    assert ("429" in call["responses"]) == (bucket_for(path) is not None)


def test_the_description_is_made_for_the_gateway_that_answers() -> None:
    schemes = DESCRIPTION["components"]["securitySchemes"]
    assert DESCRIPTION["servers"] == [{"url": URL}]
    assert (schemes["session"]["name"], schemes["refresh"]["name"]) == ("__Host-gateway", "__Secure-gateway-refresh")


# Only the command line undoes; nothing signs in with a proof that the browser holds.
NOT_OVER_HTTP = {errors.CannotUndo, errors.AccountExists}


def refusable() -> set[tuple[str, int]]:
    """Every code that reaches HTTP, with its status."""
    kinds = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, GatewayError)]
    abstract = {kind for kind in kinds if kind.__subclasses__() and kind.code == "server_error"}
    return {(kind.code, kind.status) for kind in kinds if kind not in abstract | NOT_OVER_HTTP}


def test_every_error_that_is_answered_is_described() -> None:
    told = {
        (code, int(status))
        for _, _, call in CALLS
        for status, answer in call["responses"].items()
        for each in walk(answer)
        if "enum" in (named := each.get("error", {}))
        for code in named["enum"]
    }
    assert refusable() - told == set()


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if name := attributes.get("id"):
            self.ids.append(name)
        if (href := attributes.get("href")) and href.startswith("#"):
            self.links.append(href[1:])


def test_the_page_shows_every_operation() -> None:
    assert {call["operationId"] for _, _, call in CALLS} <= set(Page(PAGE).ids)


def test_anchors_of_the_page_are_unique_and_links_find_them() -> None:
    page = Page(PAGE)
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.links) <= set(page.ids)


def test_the_page_holds_nothing_inline_and_no_script() -> None:
    for tag, attributes in Page(PAGE).tags:
        assert tag not in {"script", "style", "iframe"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_the_page_leads_to_the_description_below_the_base_path() -> None:
    assert ("a", {"href": "/sso/openapi.json"}) in Page(PAGE).tags


def test_the_page_shows_backticks_as_code() -> None:
    assert "`" not in PAGE
    assert "<code>attempt_used</code>" in PAGE


def test_it_is_served_with_its_page(sqlite_url: str) -> None:
    with running(settings_for(sqlite_url, port=free_port())) as gateway, gateway.browser() as browser:
        described, shown = browser.get("/openapi.json"), browser.get("/docs")
    assert json.loads(described.content)["paths"].keys() == DESCRIPTION["paths"].keys()
    assert shown.headers["content-type"].startswith("text/html")
    assert "script-src" not in shown.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_it_can_be_switched_off(sqlite_url: str, path: str) -> None:
    with running(settings_for(sqlite_url, port=free_port(), docs=False)) as gateway, gateway.api() as client:
        refused = client.get(path)
    assert (refused.status_code, refused.json()["error"]) == (404, "not_found")
