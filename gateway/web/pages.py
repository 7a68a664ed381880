"""Pages: what people see, as HTML made from frozen views; no HTTP, no database, no clock in here.

Views are named tuples, which nobody compares: so many dataclasses would be 10 ms of the start, a fortieth.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .devices import read_device
from .reference import ApiView

LATELY = 5  # entries of the recent activity that are seen at once; the others can be opened
if TYPE_CHECKING:
    from jinja2 import Environment

# Every `href` in a view is the finished one: with the path of `public_url` and whatever query it carries.


class StaticFile(NamedTuple):
    """One file under `/auth/static/`. Its name holds a digest of its content: it may be cached for ever."""

    content: bytes
    content_type: str


class ProviderButton(NamedTuple):
    """`brand` is the preset: `google` and `microsoft` get their official look, everything else a monogram."""

    name: str
    label: str
    href: str
    brand: str | None = None


class SignInView(NamedTuple):
    buttons: tuple[ProviderButton, ...]
    notice: str | None = None
    target: str | None = None  # host or application the person goes on to, where it is not this site
    cancel_href: str | None = None  # back to the application without signing in


class ConsentView(NamedTuple):
    """What an application (`label`) asks for, as phrases that go on "It will be able to …"."""

    label: str
    meant: tuple[str, ...]
    action: str
    resume: str


class IdentityRow(NamedTuple):
    id: str
    label: str
    email: str | None
    verified: bool
    linked_at: int
    last_used_at: int
    brand: str | None = None
    removable: bool = False  # false for the last one


class SessionRow(NamedTuple):
    id: str
    current: bool
    user_agent: str
    ip: str
    label: str  # the provider's
    created_at: int
    last_used_at: int


class ActivityRow(NamedTuple):
    """`what` is a whole phrase for its owner: "Signed in with Google"."""

    what: str
    at: int
    user_agent: str = ""
    ip: str = ""


class PictureChoice(NamedTuple):
    """A picture to choose, named after the provider it is from. It is not shown: its host would see who looks."""

    label: str
    value: str
    current: bool


class AccountView(NamedTuple):
    """The account's own page. Times are epoch seconds; `now` is when the page is made.

    `addresses` are the verified ones, of which the owner may choose the main one, `pictures` those of the identities.
    `links` are the providers that can be added; their `href` is not used, since linking is a form.
    `recent` says whether the last sign-in is recent enough to link, unlink and delete; where it is not, `confirm_href`
    leads to another one and back here.
    """

    name: str | None
    email: str | None
    verified: bool
    member_since: int
    identities: tuple[IdentityRow, ...]
    sessions: tuple[SessionRow, ...]
    now: int
    activity: tuple[ActivityRow, ...] = ()
    notice: str | None = None
    roles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    pictures: tuple[PictureChoice, ...] = ()
    links: tuple[ProviderButton, ...] = ()
    recent: bool = True
    confirm_href: str = ""


class KnownIdentity(NamedTuple):
    """A way into an account that is known already. `address` is masked: whoever looks has not proven it is theirs."""

    name: str  # the provider's, as `label` and `brand`
    label: str
    brand: str | None = None
    address: str | None = None


class JoinView(NamedTuple):
    """The question to somebody whose new identity (`label`, `brand`, `email`) has an address that is known already."""

    label: str
    email: str
    known: tuple[KnownIdentity, ...]
    may_separate: bool
    cancel_href: str
    brand: str | None = None


class AccountCard(NamedTuple):
    """One of two accounts, for its owner to recognise. Times are epoch seconds."""

    name: str | None
    email: str | None
    verified: bool
    created_at: int
    identities: tuple[IdentityRow, ...]


class MergeView(NamedTuple):
    """`survivor` is the account that its owner is signed in to; `absorbed` goes into it."""

    survivor: AccountCard
    absorbed: AccountCard
    account_href: str
    now: int
    recent: bool = True  # as in AccountView
    confirm_href: str = ""


class ErrorView(NamedTuple):
    code: str
    sentence: str
    request_id: str
    home_href: str
    again_href: str | None = None


class ConfirmSignOutView(NamedTuple):
    """`action` and `carried`: another address than our own sign-out, and the fields it wants back."""

    back_href: str
    email: str | None = None
    action: str | None = None
    carried: tuple[tuple[str, str], ...] = ()


class SignedOutView(NamedTuple):
    sign_in_href: str
    notice: str | None = None


class Pages:
    """Renders every page. `title` is the site's name, `base` the path of `public_url`: "" or "/some/path"."""

    def __init__(self, *, title: str, base: str) -> None:
        self._title = title
        self._base = base
        self._names, self.static_files = _load_static_files()
        self._errors = tomllib.loads(_read("templates", "errors.toml").decode())

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import DictLoader, Environment, StrictUndefined  # with the first page: many a worker sends none

        environment = Environment(
            loader=DictLoader(_read_templates()),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals.update(title=self._title, base=self._base, static=self._static, device=read_device)
        environment.filters.update(iso=say_iso, moment=say_moment, day=say_day, ago=say_ago)
        return environment

    def _static(self, name: str) -> str:
        return f"{self._base}/auth/static/{self._names[name]}"

    def sign_in(self, view: SignInView) -> str:
        return self._render("sign_in.html", view=view)

    def account(self, view: AccountView) -> str:
        sessions = sorted(view.sessions, key=lambda session: (not session.current, -session.last_used_at))
        called = view.name or view.email or ""
        values = {"called": called, "initials": initials(called), "lately": LATELY}
        return self._render("account.html", view=view, sessions=sessions, **values)

    def join(self, view: JoinView) -> str:
        return self._render("join.html", view=view, ways=ways_in(view.known))

    def merge(self, view: MergeView) -> str:
        return self._render("merge.html", view=view)

    def error(self, view: ErrorView) -> str:
        words = self._errors.get(view.code) or self._errors["other"]
        return self._render("error.html", view=view, words=words)

    def consent(self, view: ConsentView) -> str:
        return self._render("consent.html", view=view)

    def confirm_sign_out(self, view: ConfirmSignOutView) -> str:
        return self._render("confirm_sign_out.html", view=view)

    def signed_out(self, view: SignedOutView) -> str:
        return self._render("signed_out.html", view=view)

    def api(self, view: ApiView) -> str:
        return self._render("api.html", view=view)

    def _render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(**values)


def ways_in(known: Sequence[KnownIdentity]) -> list[tuple[KnownIdentity, list[str]]]:
    """One entry for each provider, in the given order, with the masked addresses it is known by."""
    ways: dict[str, tuple[KnownIdentity, list[str]]] = {}
    for identity in known:
        _, addresses = ways.setdefault(identity.name, (identity, []))
        if identity.address and identity.address not in addresses:
            addresses.append(identity.address)
    return list(ways.values())


def initials(called: str) -> str:
    """Letters to know an account by: of the first and last word of a name, or of an address; may be empty."""
    words = [word for word in called.partition("@")[0].split() if word[0].isalnum()]
    letters = [words[0][0], words[-1][0]] if len(words) > 1 else [word[0] for word in words]
    return "".join(letters).upper()


def say_iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say_day(at: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%B} {moment.year}"


def say_moment(at: int) -> str:
    return f"{say_day(at)}, {datetime.fromtimestamp(at, UTC):%H:%M}\u00a0UTC"


def say_ago(at: int, now: int) -> str:
    """Relative within a day, where no time zone is needed to understand it; the whole moment after that."""
    minutes = (now - at) // 60
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return _count(minutes, "minute")
    if minutes < 24 * 60:
        return _count(minutes // 60, "hour")
    return say_moment(at)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def _read(folder: str, name: str) -> bytes:
    return (resources.files("gateway.web") / folder / name).read_bytes()


def _names(folder: str, ending: str) -> Sequence[str]:
    found = (entry.name for entry in (resources.files("gateway.web") / folder).iterdir())
    return sorted(name for name in found if name.endswith(ending))


def _read_templates() -> Mapping[str, str]:
    return {name: _read("templates", name).decode() for name in _names("templates", ".html")}


def _load_static_files() -> tuple[Mapping[str, str], Mapping[str, StaticFile]]:
    """Plain name -> digested name, and files by the latter. Style names pictures: it comes last."""
    pictures = {name: _read("static", name) for name in _names("static", ".svg")}
    names = {name: _digested(name, content) for name, content in pictures.items()}
    style = _read("static", "style.css").decode()
    for name, digested in names.items():
        style = style.replace(f'url("{name}")', f'url("{digested}")')
    names["style.css"] = _digested("style.css", style.encode())
    files = {names[name]: StaticFile(content, "image/svg+xml") for name, content in pictures.items()}
    files[names["style.css"]] = StaticFile(style.encode(), "text/css; charset=utf-8")
    return names, MappingProxyType(files)


def _digested(name: str, content: bytes) -> str:
    stem, _, ending = name.partition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
