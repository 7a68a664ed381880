"""The stand-ins' pages: choosing a person, inventing one, cancelling, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.testing import Google, Person, StandIn

from walking import CLIENT, Walk, answered


class Tags(HTMLParser):
    """The start tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.found if name == tag and attributes.items() <= found.items()]


@pytest.fixture
def walk() -> Iterator[Walk]:
    with Google(clients=[CLIENT]).serve() as standin, Walk(standin) as walk:
        yield walk


def follow(walk: Walk, response: Any) -> dict[str, Any]:
    return walk.verified(walk.redeem(answered(response)["code"]).json()["id_token"]).claims


def test_everybody_is_a_button(walk: Walk) -> None:
    buttons = Tags(walk.authorize().text).named("button", name="person")
    assert [button["value"] for button in buttons] == [person.subject for person in walk.standin.people]


def test_the_page_says_that_it_is_a_stand_in(walk: Walk) -> None:
    text = walk.authorize().text
    assert "<strong>Stand-in for Google</strong> – not Google." in text
    assert "<title>Choose a person – stand-in for Google</title>" in text


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(walk: Walk) -> None:
    response = walk.authorize()
    tags = Tags(response.text)
    assert [link["href"] for link in tags.named("link", rel="stylesheet")] == ["/stand-in/stand-in.css"]
    assert tags.named("script") == []
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert walk.browser.get(walk.standin.base_url + "/stand-in/stand-in.css").status_code == 200


def test_every_field_has_a_label(walk: Walk) -> None:
    tags = Tags(walk.authorize().text)
    fields = {field["id"] for field in tags.named("input") if field.get("id")}
    assert fields == {label["for"] for label in tags.named("label") if label.get("for")} == {"name", "email"}


def test_each_form_carries_the_whole_request(walk: Walk) -> None:
    hidden = Tags(walk.authorize().text).named("input", type="hidden")
    assert [(field["name"], field["value"]) for field in hidden] == list(walk.request().items()) * 3


def test_a_button_signs_that_person_in(walk: Walk) -> None:
    grace = walk.standin.people[1]
    assert follow(walk, walk.choose(person=grace.subject))["sub"] == grace.subject


def test_whoever_is_hinted_at_comes_first(walk: Walk) -> None:
    button = Tags(walk.authorize(login_hint="grace@example.net").text).named("button", name="person")[0]
    assert (button["value"], button["class"], "autofocus" in button) == (walk.standin.people[1].subject, "first", True)


def test_an_unknown_hint_fills_the_form(walk: Walk) -> None:
    tags = Tags(walk.authorize(login_hint="new@example.org").text)
    assert tags.named("input", name="email")[0]["value"] == "new@example.org"
    assert "open" in tags.named("details")[0]


def test_somebody_can_be_invented(walk: Walk) -> None:
    claims = follow(walk, walk.choose(name="New One", email="new@example.org", verified="true"))
    assert (claims["name"], claims["email"], claims["email_verified"]) == ("New One", "new@example.org", True)


def test_an_invented_address_may_be_unverified(walk: Walk) -> None:
    assert follow(walk, walk.choose(name="New One", email="new@example.org"))["email_verified"] is False


def test_an_invented_person_stays(walk: Walk) -> None:
    walk.choose(name="New One", email="new@example.org")
    walk.choose(name="New One", email="new@example.org", verified="true")
    assert [p.email_verified for p in walk.standin.people if p.email == "new@example.org"] == [True]


def test_inventing_somebody_with_a_known_address_makes_another_person(walk: Walk) -> None:
    claims = follow(walk, walk.choose(name="Mallory", email="ada@example.com"))
    assert claims["sub"] not in {person.subject for person in walk.standin.people[:3]}


@pytest.mark.parametrize("email", ["", "no-at", "@example.org", "two words@example.org", "a" * 250 + "@x.example"])
def test_what_is_no_address_is_asked_again(walk: Walk, email: str) -> None:
    response = walk.choose(name="New <One>", email=email)
    tags = Tags(response.text)
    assert response.status_code == 400
    assert tags.named("input", name="email")[0]["aria-describedby"] == "fault"
    assert tags.named("input", name="name")[0]["value"] == "New <One>"


def test_cancel_answers_access_denied(walk: Walk) -> None:
    answer = answered(walk.choose(cancel="true"))
    assert (answer["error"], answer["state"]) == ("access_denied", "a-state")


def test_a_choice_is_checked_like_the_request(walk: Walk) -> None:
    assert walk.choose(person=walk.standin.people[0].subject, redirect_uri="https://evil.example/").status_code == 400


def test_names_are_escaped(walk: Walk) -> None:
    walk.standin.people = [Person(subject="x", name="<script>alert(1)</script>")]
    assert Tags(walk.authorize().text).named("script") == []


def test_a_refusal_says_what_was_wrong(walk: Walk) -> None:
    text = walk.authorize(redirect_uri="https://evil.example/").text
    assert "redirect_uri_mismatch" in text
    assert "https://evil.example/" not in text


def test_the_self_posting_form_has_a_button_too() -> None:
    with StandIn(clients=[CLIENT]).serve() as standin, Walk(standin) as walk:
        tags = Tags(walk.authorize(response_mode="form_post").text)
        script = walk.browser.get(standin.base_url + "/stand-in/submit.js")
    assert tags.named("script") == [{"src": "/stand-in/submit.js", "defer": None}]
    assert len(tags.named("button")) == 1
    assert script.status_code == 200
