"""The pages, parsed: nothing inline, everything named, escaped and under the base path."""

from __future__ import annotations

from itertools import pairwise

import pytest
from page_samples import (
    BASE,
    ERROR,
    EVIL,
    GOOGLE,
    JOIN,
    MICROSOFT,
    NOW,
    PAGES,
    SAMPLES,
    STAFF,
    Document,
    controls,
    fields,
    forms,
)

from gateway import errors
from gateway.web.pages import initials, say_ago, say_iso, say_moment

each_page = pytest.mark.parametrize("html", SAMPLES.values(), ids=SAMPLES.keys())


@each_page
def test_nothing_inline(html: str) -> None:
    document = Document(html)
    assert not document.all("script", "style", "iframe", "object")
    assert not [name for element in document.elements for name in element.attributes if name.startswith("on")]
    assert not document.values("style", "srcdoc")
    assert not [value for value in document.values("href", "src", "action") if ":" in value.split("?")[0]]


@each_page
def test_every_address_is_under_the_base_path(html: str) -> None:
    addresses = Document(html).values("href", "src", "action", "formaction")
    assert [address for address in addresses if not address.startswith((f"{BASE}/", "#"))] == []


@each_page
def test_static_files_it_names_are_there(html: str) -> None:
    prefix = f"{BASE}/auth/static/"
    named = {value.removeprefix(prefix) for value in Document(html).values("href", "src") if value.startswith(prefix)}
    assert named
    assert named <= set(PAGES.static_files)


@each_page
def test_every_control_has_a_name(html: str) -> None:
    document = Document(html)
    assert all(control.name for control in document.all("a", "button", "summary", "label", "legend"))
    labelled = {label.attributes.get("for") for label in document.all("label")}
    assert {field.attributes["id"] for field in document.all("input") if field.attributes.get("id")} <= labelled
    named = ("hidden", "radio")  # a radio button stands inside its label
    assert all(field.attributes.get("type") in named or field.attributes["id"] for field in document.all("input"))
    assert all("alt" in image.attributes for image in document.all("img"))


@each_page
def test_names_tell_controls_of_one_page_apart(html: str) -> None:
    names = [control.name for control in Document(html).all("a", "button")]
    assert len(names) == len(set(names))


@each_page
def test_structure_a_screen_reader_goes_by(html: str) -> None:
    document = Document(html)
    assert html.startswith("<!doctype html>")
    assert document.all("html")[0].attributes["lang"] == "en"
    assert [len(document.all(tag)) for tag in ("h1", "main", "header", "title")] == [1, 1, 1, 1]
    levels = [int(heading.tag[1]) for heading in document.all("h1", "h2", "h3")]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    identifiers = document.values("id")
    assert len(identifiers) == len(set(identifiers))
    assert set(document.values("aria-labelledby", "aria-describedby")) <= set(identifiers)


@each_page
def test_search_engines_stay_away(html: str) -> None:
    robots = [meta for meta in Document(html).all("meta") if meta.attributes.get("name") == "robots"]
    assert [meta.attributes["content"] for meta in robots] == ["noindex"]


@pytest.mark.parametrize("name", [name for name in SAMPLES if "hostile" in name])
def test_foreign_words_stay_words(name: str) -> None:
    document = Document(SAMPLES[name])
    assert EVIL in document.all("body")[0].text
    assert "x" not in document.values("src")


def test_sign_in_buttons_are_named_after_their_providers() -> None:
    links = [(link.name, link.attributes["href"]) for link in Document(SAMPLES["sign-in"]).all("a")]
    assert links == [(f"Sign in with {button.label}", button.href) for button in (GOOGLE, MICROSOFT, STAFF)]


def test_without_providers_the_operator_is_told_what_to_do() -> None:
    text = Document(SAMPLES["sign-in, nothing configured"]).all("main")[0].text
    assert "providers.toml" in text
    assert "gateway check" in text


def test_joining_asks_for_each_known_provider_once() -> None:
    assert controls(SAMPLES["join"]) == [
        "Continue with Google",
        "Continue with Staff",
        "Keep a separate account",
        "Cancel",
    ]
    assert fields(SAMPLES["join"]) == [
        ("provider", "google", False),
        ("provider", "staff", False),
        ("separate", "yes", False),
    ]
    assert forms(SAMPLES["join"]) == {("post", f"{BASE}/auth/join")}


def test_joining_shows_the_new_address_whole_and_the_known_ones_masked() -> None:
    document = Document(SAMPLES["join"])
    assert "ada@example.com" in document.all("main")[0].text
    hints = [each.text for each in document.all("p") if each.attributes.get("id") == "way-1"]
    assert hints == ["a•••@example.com or l•••@example.org"]


def test_staying_apart_is_offered_only_where_it_is_allowed() -> None:
    html = PAGES.join(JOIN._replace(may_separate=False))
    assert "Keep a separate account" not in controls(html)
    assert fields(html) == [("provider", "google", False), ("provider", "staff", False)]


def test_merging_shows_both_accounts_and_the_way_back() -> None:
    document = Document(SAMPLES["merge"])
    assert [heading.text for heading in document.all("h2")] == [
        "This one stays",
        "This one goes into it",
        "What will happen",
    ]
    assert forms(SAMPLES["merge"]) == {("post", f"{BASE}/auth/merge")}
    assert controls(SAMPLES["merge"]) == ["Skip to content", "Merge accounts", "Keep them separate"]


def test_merging_says_that_it_cannot_be_undone_alone() -> None:
    assert "You cannot undo this yourself" in Document(SAMPLES["merge"]).all("main")[0].text


def test_error_page_carries_code_request_and_a_way_on() -> None:
    document = Document(SAMPLES["error"])
    assert document.all("main")[0].attributes["data-error"] == "attempt_expired"
    assert "01JN8Z4Q6W" in document.all("dl")[0].text
    assert [(link.name, link.attributes["href"]) for link in document.all("a")] == [
        ("Start again", ERROR.again_href),
        ("Go to the start page", ERROR.home_href),
    ]


@pytest.mark.parametrize(
    ("code", "words"),
    [("reauthentication_required", "Confirm it is you"), ("not_signed_in", "Sign in"), ("server_error", "Start again")],
)
def test_the_way_on_is_named_after_what_it_does(code: str, words: str) -> None:
    assert controls(PAGES.error(ERROR._replace(code=code)))[0] == words


def gateway_errors(kind: type[errors.GatewayError] = errors.GatewayError) -> list[type[errors.GatewayError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in gateway_errors(below))]


FOR_PROGRAMS = {
    "invalid_request",
    "invalid_token",
    "invalid_grant",
    "invalid_scope",
    "invalid_target",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
    "access_denied",
}


@pytest.mark.parametrize("kind", gateway_errors(), ids=lambda kind: kind.__name__)
def test_every_error_people_see_has_words_of_its_own(kind: type[errors.GatewayError]) -> None:
    page = Document(PAGES.error(ERROR._replace(code=kind.code, sentence=kind.sentence)))
    other = Document(PAGES.error(ERROR._replace(code="something_else", sentence=kind.sentence)))
    helped = page.all("main")[0].text.replace(kind.code, "") != other.all("main")[0].text.replace("something_else", "")
    assert helped or kind.code in FOR_PROGRAMS
    assert page.all("h1")[0].text.rstrip(".") != kind.sentence.rstrip(".")


@pytest.mark.parametrize(
    ("called", "letters"),
    [
        ("Ada Lovelace", "AL"),
        ("Ada Maria King of Lovelace", "AL"),
        ("ada@example.com", "A"),
        ("ada (admin) lovelace", "AL"),
        ("Éva", "É"),
        ("李 小龍", "李小"),
        ("🙂", ""),
        ("", ""),
    ],
)
def test_initials(called: str, letters: str) -> None:
    assert initials(called) == letters


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "4 March 2026, 14:03\u00a0UTC"),
    ],
)
def test_time_in_words(age: int, words: str) -> None:
    assert say_ago(NOW - age, NOW) == words


def test_time_for_machines() -> None:
    assert (say_iso(NOW), say_moment(NOW)) == ("2026-03-05T14:03:00Z", "5 March 2026, 14:03\u00a0UTC")
