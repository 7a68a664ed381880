"""The pages, parsed: nothing inline, everything named, escaped and under the base path."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gateway import errors
from gateway.web.pages import (
    LATELY,
    AccountCard,
    AccountView,
    ActivityRow,
    ConfirmSignOutView,
    ErrorView,
    IdentityRow,
    JoinView,
    KnownIdentity,
    MergeView,
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
CONFIRM = f"{BASE}/auth/google/login?prompt=login"
ONLY = IdentityRow("i-1", "Google", "ada@example.com", True, NOW - 40 * 86400, NOW - 720, "google")
TWO = (
    replace(ONLY, removable=True),
    IdentityRow("i-2", "Staff", None, False, NOW - 9000, NOW - 9000, removable=True),
)
ACCOUNT = AccountView(
    name="Ada Lovelace",
    email="ada@example.com",
    verified=True,
    member_since=NOW - 40 * 86400,
    identities=(ONLY,),
    sessions=(
        SessionRow("s-2", False, FIREFOX, "198.51.100.2", "Google", NOW - 9000, NOW - 60),
        SessionRow("s-1", True, SAFARI, "198.51.100.1", "Google", NOW - 86400, NOW - 7200),
        SessionRow("s-3", False, FIREFOX, "198.51.100.3", "Google", NOW - 9000, NOW - 30),
    ),
    now=NOW,
    activity=(ActivityRow("Signed in with Google", NOW - 720, FIREFOX, "198.51.100.2"),),
    notice="The session was ended.",
)
FULL = replace(
    ACCOUNT,
    identities=TWO,
    activity=ACCOUNT.activity * (LATELY + 2),
    roles=("admin", "billing"),
    addresses=("ada@example.com", "ada@example.org"),
    links=(GOOGLE, STAFF),
    recent=False,
    confirm_href=CONFIRM,
)
JOIN = JoinView(
    label="Microsoft",
    brand="microsoft",
    email="ada@example.com",
    known=(
        KnownIdentity("google", "Google", "google", "a•••@example.com"),
        KnownIdentity("staff", "Staff"),
        KnownIdentity("google", "Google", "google", "l•••@example.org"),
        KnownIdentity("google", "Google", "google", "a•••@example.com"),
    ),
    may_separate=True,
    cancel_href=f"{BASE}/auth/login",
)
MERGE = MergeView(
    survivor=AccountCard("Ada Lovelace", "ada@example.com", True, NOW - 40 * 86400, (ONLY,)),
    absorbed=AccountCard(None, None, False, NOW - 9000, TWO[1:]),
    account_href=f"{BASE}/auth/account",
    now=NOW,
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
        FULL,
        name=EVIL,
        email=EVIL,
        notice=EVIL,
        identities=(IdentityRow("i-4", EVIL, EVIL, False, NOW, NOW, EVIL, removable=True),),
        roles=(EVIL,),
        addresses=(EVIL, "ada@example.com"),
        links=(replace(STAFF, label=EVIL, brand=EVIL),),
        sessions=(SessionRow("s-4", False, EVIL, EVIL, EVIL, NOW, NOW),),
        activity=(ActivityRow(EVIL, NOW, EVIL, EVIL),),
    )


def hostile_join() -> JoinView:
    known = (KnownIdentity("staff", EVIL, EVIL, EVIL),)
    return replace(JOIN, label=EVIL, brand=EVIL, email=EVIL, known=known)


def hostile_merge() -> MergeView:
    identity = IdentityRow("i-5", EVIL, EVIL, False, NOW, NOW, EVIL)
    card = AccountCard(EVIL, EVIL, False, NOW, (identity,))
    return replace(MERGE, survivor=card, absorbed=card)


SAMPLES = {
    "sign-in": PAGES.sign_in(SignInView((GOOGLE, MICROSOFT, STAFF), "Please sign in.", "app.example.com")),
    "sign-in, nothing configured": PAGES.sign_in(SignInView(())),
    "sign-in, hostile": PAGES.sign_in(SignInView((replace(STAFF, label=EVIL, brand=EVIL),), EVIL, EVIL)),
    "account": PAGES.account(ACCOUNT),
    "account, empty": PAGES.account(
        AccountView(None, None, verified=False, member_since=NOW, identities=(), sessions=(), now=NOW)
    ),
    "account, full": PAGES.account(FULL),
    "account, hostile": PAGES.account(hostile_account()),
    "join": PAGES.join(JOIN),
    "join, hostile": PAGES.join(hostile_join()),
    "merge": PAGES.merge(MERGE),
    "merge, hostile": PAGES.merge(hostile_merge()),
    "error": PAGES.error(ERROR),
    "error, nowhere to start": PAGES.error(replace(ERROR, code="not_found", again_href=None)),
    "error, hostile": PAGES.error(replace(ERROR, code=EVIL, sentence=EVIL, request_id=EVIL)),
    "confirm sign-out": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", "ada@example.com")),
    "confirm sign-out, hostile": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", EVIL)),
    "signed out": PAGES.signed_out(SignedOutView(f"{BASE}/auth/login")),
    "signed out, hostile": PAGES.signed_out(SignedOutView(f"{BASE}/auth/login", EVIL)),
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


def forms(html: str) -> set[tuple[str, str]]:
    return {(form.attributes["method"], form.attributes["action"]) for form in Document(html).all("form")}


def test_account_forms() -> None:
    assert forms(SAMPLES["account, full"]) == {
        ("post", f"{BASE}/auth/logout"),
        ("post", f"{BASE}/auth/me/profile"),
        ("post", f"{BASE}/auth/identities/i-1/unlink"),
        ("post", f"{BASE}/auth/identities/i-2/unlink"),
        ("post", f"{BASE}/auth/google/link"),
        ("post", f"{BASE}/auth/staff/link"),
        ("post", f"{BASE}/auth/sessions/end-others"),
        ("post", f"{BASE}/auth/sessions/s-2/end"),
        ("post", f"{BASE}/auth/sessions/s-3/end"),
        ("post", f"{BASE}/auth/me/delete"),
    }


def controls(html: str) -> list[str]:
    return [control.name for control in Document(html).all("a", "button")]


def test_unlink_says_which_one() -> None:
    names = [name for name in controls(SAMPLES["account, full"]) if name.startswith("Unlink")]
    assert names == ["Unlink Google, ada@example.com", "Unlink Staff"]


def test_the_only_way_in_cannot_be_unlinked_and_says_why() -> None:
    assert not [name for name in controls(SAMPLES["account"]) if name.startswith("Unlink")]
    assert "Your only way in" in Document(SAMPLES["account"]).all("main")[0].text


def test_links_to_add_are_named_after_their_providers() -> None:
    names = [name for name in controls(SAMPLES["account, full"]) if name.startswith("Link ")]
    assert names == ["Link Google", "Link Staff"]


def test_without_a_recent_sign_in_the_page_says_so_where_it_matters() -> None:
    links = Document(SAMPLES["account, full"]).all("a")
    ways = [link.name for link in links if link.attributes["href"] == CONFIRM]
    assert ways == ["Confirm it is you", "Confirm it is you, then delete"]
    assert {"Link Google", "Unlink Staff", "Delete account"} <= set(controls(SAMPLES["account, full"]))


def test_after_a_recent_sign_in_nothing_is_asked() -> None:
    assert "Confirm it is you" not in PAGES.account(replace(FULL, recent=True))


def fields(html: str) -> list[tuple[str, str, bool]]:
    found = [field.attributes for field in Document(html).all("input")]
    return [(field["name"], field["value"], "checked" in field) for field in found]


def test_name_and_main_address_can_be_chosen() -> None:
    assert fields(SAMPLES["account, full"]) == [
        ("name", "Ada Lovelace", False),
        ("email", "ada@example.com", True),
        ("email", "ada@example.org", False),
    ]


def test_a_single_address_is_no_choice() -> None:
    html = PAGES.account(replace(ACCOUNT, addresses=("ada@example.com",)))
    assert fields(html) == [("name", "Ada Lovelace", False)]


def test_deleting_says_what_will_happen() -> None:
    text = " ".join(Document(SAMPLES["account"]).all("main")[0].text.split())
    assert "For seven days nothing else happens: sign in again and the account stays" in text
    assert "erased for good" in text


def test_everything_can_be_taken_away() -> None:
    links = {link.name: link.attributes["href"] for link in Document(SAMPLES["account"]).all("a")}
    assert links["Download your data"] == f"{BASE}/auth/me/export"


def test_older_activity_is_folded_away() -> None:
    document = Document(SAMPLES["account, full"])
    folded = next(each for each in document.all("details") if "Show earlier activity" in each.text)
    assert folded.text.count("Signed in with Google") == 2
    assert "Show earlier activity" not in SAMPLES["account"]


def test_roles_are_shown() -> None:
    roles = next(each for each in Document(SAMPLES["account, full"]).all("ul") if each.name == "Roles")
    assert roles.text == "adminbilling"


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
    html = PAGES.join(replace(JOIN, may_separate=False))
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
    assert [button.name for button in document.all("button")] == ["Sign out", "Save", "Delete account"]


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


@pytest.mark.parametrize(
    ("code", "words"),
    [("reauthentication_required", "Confirm it is you"), ("not_signed_in", "Sign in"), ("server_error", "Start again")],
)
def test_the_way_on_is_named_after_what_it_does(code: str, words: str) -> None:
    assert controls(PAGES.error(replace(ERROR, code=code)))[0] == words


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
