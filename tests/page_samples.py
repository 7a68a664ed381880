"""Every page with something on it, and a way to read what it says."""

from __future__ import annotations

from html.parser import HTMLParser

from gateway.web.pages import (
    LATELY,
    AccountCard,
    AccountView,
    ActivityRow,
    ConfirmSignOutView,
    ConsentView,
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
    ONLY._replace(removable=True),
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
FULL = ACCOUNT._replace(
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
    return FULL._replace(
        name=EVIL,
        email=EVIL,
        notice=EVIL,
        identities=(IdentityRow("i-4", EVIL, EVIL, False, NOW, NOW, EVIL, removable=True),),
        roles=(EVIL,),
        addresses=(EVIL, "ada@example.com"),
        links=(STAFF._replace(label=EVIL, brand=EVIL),),
        sessions=(SessionRow("s-4", False, EVIL, EVIL, EVIL, NOW, NOW),),
        activity=(ActivityRow(EVIL, NOW, EVIL, EVIL),),
    )


def hostile_join() -> JoinView:
    known = (KnownIdentity("staff", EVIL, EVIL, EVIL),)
    return JOIN._replace(label=EVIL, brand=EVIL, email=EVIL, known=known)


def hostile_merge() -> MergeView:
    identity = IdentityRow("i-5", EVIL, EVIL, False, NOW, NOW, EVIL)
    card = AccountCard(EVIL, EVIL, False, NOW, (identity,))
    return MERGE._replace(survivor=card, absorbed=card)


SAMPLES = {
    "sign-in": PAGES.sign_in(SignInView((GOOGLE, MICROSOFT, STAFF), "Please sign in.", "app.example.com")),
    "sign-in, nothing configured": PAGES.sign_in(SignInView(())),
    "sign-in, hostile": PAGES.sign_in(SignInView((STAFF._replace(label=EVIL, brand=EVIL),), EVIL, EVIL)),
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
    "error, nowhere to start": PAGES.error(ERROR._replace(code="not_found", again_href=None)),
    "error, hostile": PAGES.error(ERROR._replace(code=EVIL, sentence=EVIL, request_id=EVIL)),
    "sign-in for an application": PAGES.sign_in(
        SignInView((GOOGLE,), target="The shop", cancel_href=f"{BASE}/auth/authorize?resume=token&cancel=1")
    ),
    "consent": PAGES.consent(ConsentView("The shop", ("know who you are",), f"{BASE}/auth/authorize", "token")),
    "consent, hostile": PAGES.consent(ConsentView(EVIL, (EVIL,), f"{BASE}/auth/authorize", EVIL)),
    "confirm sign-out for an application": PAGES.confirm_sign_out(
        ConfirmSignOutView(f"{BASE}/auth/account", None, f"{BASE}/auth/end-session", (("state", EVIL),))
    ),
    "confirm sign-out": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", "ada@example.com")),
    "confirm sign-out, hostile": PAGES.confirm_sign_out(ConfirmSignOutView(f"{BASE}/auth/account", EVIL)),
    "signed out": PAGES.signed_out(SignedOutView(f"{BASE}/auth/login")),
    "signed out, hostile": PAGES.signed_out(SignedOutView(f"{BASE}/auth/login", EVIL)),
}


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


def forms(html: str) -> set[tuple[str, str]]:
    return {(form.attributes["method"], form.attributes["action"]) for form in Document(html).all("form")}


def controls(html: str) -> list[str]:
    return [control.name for control in Document(html).all("a", "button")]


def fields(html: str) -> list[tuple[str, str, bool]]:
    found = [field.attributes for field in Document(html).all("input")]
    return [(field["name"], field["value"], "checked" in field) for field in found]
