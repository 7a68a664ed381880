"""The pages, parsed: nothing inline, everything named, escaped and under the base path."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gateway import errors
from gateway.web.pages import (
    AccountView,
    ActivityRow,
    ConfirmSignOutView,
    ErrorView,
    IdentityRow,
    Pages,
    ProviderButton,
    SessionRow,
    SignedOutView,
    SignInView,
    initials,
    say_ago,
    say_iso,
    say_moment,
)

BASE = "/sso"
NOW = 1_772_719_380  # 5 March 2026, 14:03 UTC
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:135.0) Gecko/20100101 Firefox/135.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.2 Safari/605.1.15"
VOID = {"meta", "link", "img", "input", "br"}

PAGES = Pages(title="login.example.com", base=BASE)
GOOGLE = ProviderButton("google", "Google", f"{BASE}/auth/google/login?redirect_to=%2Fa&prompt=x", "google")
MICROSOFT = ProviderButton("microsoft", "Microsoft", f"{BASE}/auth/microsoft/login", "microsoft")
STAFF = ProviderButton("staff", "Staff", f"{BASE}/auth/staff/login")
ACCOUNT = AccountView(
    name="Ada Lovelace",
    email="ada@example.com",
    verified=True,
    member_since=NOW - 40 * 86400,
    identities=(IdentityRow("Google", "ada@example.com", True, NOW - 40 * 86400, NOW - 720, "google"),),
    sessions=(
        SessionRow("s-2", False, FIREFOX, "198.51.100.2", "Google", NOW - 9000, NOW - 60),
        SessionRow("s-1", True, SAFARI, "198.51.100.1", "Google", NOW - 86400, NOW - 7200),
        SessionRow("s-3", False, FIREFOX, "198.51.100.3", "Google", NOW - 9000, NOW - 30),
    ),
    now=NOW,
    activity=(ActivityRow("Signed in with Google", NOW - 720, FIREFOX, "198.51.100.2"),),
    notice="The session was ended.",
)
ERROR = ErrorView(
    "attempt_expired",
    "This sign-in took too long.",
    "01JN8Z4Q6W",
    home_href=f"{BASE}/auth/login",
    again_href=f"{BASE}/auth/google/login?redirect_to=%2Fa",
)


def hostile_account() -> AccountView:
    return replace(
        ACCOUNT,
        name=EVIL,
        email=EVIL,
        notice=EVIL,
        identities=(IdentityRow(EVIL, EVIL, False, NOW, NOW, EVIL),),
        sessions=(SessionRow("s-4", False, EVIL, EVIL, EVIL, NOW, NOW),),
        activity=(ActivityRow(EVIL, NOW, EVIL, EVIL),),
    )


SAMPLES = {
    "sign-in": PAGES.sign_in(SignInView((GOOGLE, MICROSOFT, STAFF), "Please sign in.", "app.example.com")),
    "sign-in, nothing configured": PAGES.sign_in(SignInView(())),
    "sign-in, hostile": PAGES.sign_in(SignInView((replace(STAFF, label=EVIL, brand=EVIL),), EVIL, EVIL)),
    "account": PAGES.account(ACCOUNT),
    "account, empty": PAGES.account(
        AccountView(None, None, verified=False, member_since=NOW, identities=(), sessions=(), now=NOW)
    ),
    "account, hostile": PAGES.account(hostile_account()),
    "error": PAGES.error(ERROR),
    "error, nowhere to start": PAGES.error(replace(ERROR, code="not_found", again_href=None)),
    "error, hostile": PAGES.error(replace(ERROR, code=EVIL, sentence=EVIL, request_id=EVIL)),
    "confirm sign-out": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", "ada@example.com")),
    "confirm sign-out, hostile": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", EVIL)),
    "signed out": PAGES.signed_out(SignedOutView(f"{BASE}/auth/login")),
}
each_page = pytest.mark.parametrize("html", SAMPLES.values(), ids=SAMPLES.keys())


class Element:
    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""

    @property
    def name(self) -> str:
        return self.attributes.get("aria-label") or " ".join(self.text.split())


class Document(HTMLParser):
    """All elements in order, each with the text inside it; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def values(self, *attributes: str) -> list[str]:
        return [value for element in self.elements for name, value in element.attributes.items() if name in attributes]


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
    assert all(control.name for control in document.all("a", "button"))
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
    assert set(document.values("aria-labelledby")) <= set(identifiers)


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


def test_account_forms() -> None:
    forms = {
        (form.attributes["method"], form.attributes["action"]) for form in Document(SAMPLES["account"]).all("form")
    }
    assert forms == {
        ("post", f"{BASE}/auth/logout"),
        ("post", f"{BASE}/auth/sessions/end-others"),
        ("post", f"{BASE}/auth/sessions/s-2/end"),
        ("post", f"{BASE}/auth/sessions/s-3/end"),
    }


def test_end_session_says_which_one() -> None:
    names = [button.name for button in Document(SAMPLES["account"]).all("button") if button.text == "End session"]
    assert [name.partition(", signed in")[0] for name in names] == [
        "End session: Firefox on Windows, 198.51.100.3",
        "End session: Firefox on Windows, 198.51.100.2",
    ]


def test_own_session_comes_first_and_is_marked() -> None:
    headings = [" ".join(heading.text.split()) for heading in Document(SAMPLES["account"]).all("h3")]
    assert headings[1] == "Safari on Mac This browser"


def test_a_single_session_has_no_others_to_end() -> None:
    document = Document(PAGES.account(replace(ACCOUNT, sessions=ACCOUNT.sessions[1:2])))
    assert [button.name for button in document.all("button")] == ["Sign out"]


def test_activity_is_hidden_when_there_is_none() -> None:
    assert "Recent activity" not in PAGES.account(replace(ACCOUNT, activity=()))


def test_times_are_given_to_machines_and_people() -> None:
    times = [time.attributes for time in Document(SAMPLES["account"]).all("time")]
    assert {"datetime": "2026-03-05T13:51:00Z", "title": "5 March 2026, 13:51\u00a0UTC"} in times


def test_error_page_carries_code_request_and_a_way_on() -> None:
    document = Document(SAMPLES["error"])
    assert document.all("main")[0].attributes["data-error"] == "attempt_expired"
    assert "01JN8Z4Q6W" in document.all("dl")[0].text
    assert [(link.name, link.attributes["href"]) for link in document.all("a")] == [
        ("Start again", ERROR.again_href),
        ("Go to the start page", ERROR.home_href),
    ]


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
    "access_denied",
}


@pytest.mark.parametrize("kind", gateway_errors(), ids=lambda kind: kind.__name__)
def test_every_error_people_see_has_words_of_its_own(kind: type[errors.GatewayError]) -> None:
    page = Document(PAGES.error(replace(ERROR, code=kind.code, sentence=kind.sentence)))
    other = Document(PAGES.error(replace(ERROR, code="something_else", sentence=kind.sentence)))
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
