"""`gateway check`: every fault of the configuration, the database's schema, each provider, and what to register there.

examine ─► faults ┐
schema_state ─────┼─► Report ─► text
discovery, Date ──┘            each provider by itself, all at once, five seconds at most
"""

from __future__ import annotations

import asyncio
import logging
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2

from .db import LONGEST_CAUSE, brief, normalise
from .errors import Fault, IssuerMisconfigured, ProviderFault
from .providers import ProviderClient, Providers
from .settings import Examined, ProviderSettings, Settings, examine
from .settings.addresses import is_sqlite, sqlite_file
from .settings.presets import presets
from .settings.secret_files import keys_file

Clock = Callable[[], float]

PATIENCE = 5  # seconds for the database, and for each provider
CLOCK_TOLERANCE = 30  # seconds; tokens are refused at twice that


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; the hint says what mends it."""

    good: bool
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and the addresses that the providers must know (by provider)."""

    sections: Mapping[str, tuple[Finding, ...]]
    redirect_uris: Mapping[str, str]
    signed_out_uris: Mapping[str, str]

    @property
    def good(self) -> bool:
        return all(finding.good for findings in self.sections.values() for finding in findings)


@dataclass(frozen=True, slots=True)
class Looked:
    """What one provider showed. `end_session` is None where that is not known."""

    findings: tuple[Finding, ...]
    end_session: bool | None
    skew: float | None = None  # seconds this machine is ahead


def check(
    config: str | None, offline: bool, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> tuple[int, str]:
    """Exit status (0 or 1) and the report, in characters the terminal has."""
    logging.getLogger("gateway").addHandler(logging.NullHandler())  # the report says it, in better words
    examined = examine(config, environ, flags, make_keys=False)
    report = asyncio.run(run_checks(examined, offline=offline))
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    text = render(report, plain=not encoding.lower().startswith("utf"))
    return (0 if report.good else 1), text.encode(encoding, "backslashreplace").decode(encoding)


async def run_checks(
    examined: Examined, *, offline: bool, clock: Clock = time.time, transport: httpx2.AsyncBaseTransport | None = None
) -> Report:
    """Look at everything that can be looked at, faults or not. `transport` replaces the network, for tests."""
    configuration = tuple(as_finding(fault) for fault in examined.faults) or (describe_providers(examined),)
    settings = examined.settings
    if settings is None:
        return Report({"Configuration": configuration}, {}, {})
    asked = {} if offline else {name: found for name, found in examined.declared.items() if found.client_id}
    database, looked = await asyncio.gather(
        look_at_database(examined, settings), look_at_providers(asked, settings, clock, transport)
    )
    sections: dict[str, tuple[Finding, ...]] = {
        "Configuration": configuration,
        "Applications": describe_apps(examined, settings),
        "Database": database,
        "Providers": tuple(finding for each in looked.values() for finding in each.findings) + agreement(looked),
    }
    known = {name: ends_session(found, looked.get(name)) for name, found in examined.declared.items()}
    callbacks, signed_out = uris_to_register(examined, settings, known)
    return Report({title: found for title, found in sections.items() if found}, callbacks, signed_out)


# Configuration


def as_finding(fault: Fault) -> Finding:
    place = f"{fault.where} [{fault.table}] {fault.key}".replace(" []", "").rstrip()
    return Finding(False, f"{place}: {fault.seen}", fault.hint)


NOBODY = "no provider yet"


def describe_providers(examined: Examined) -> Finding:
    assert examined.settings is not None  # noqa: S101  what cannot be read has a fault
    offered, missing = list(examined.settings.providers), examined.settings.not_configured
    text = f"on offer: {', '.join(offered) or NOBODY}"
    hint = "" if offered else "Nobody can sign in: give a provider its client_id and client_secret."
    return Finding(True, text + (f"; not configured: {', '.join(missing)}" if missing else ""), hint)


def describe_apps(examined: Examined, settings: Settings) -> tuple[Finding, ...]:
    """Each application, and what its client library is given; none while `public_url` is not sound."""
    if not settings.apps or has_fault(examined, "public_url"):
        return ()
    told = (
        f"{app.client_id}: {app.type}" + (f", returns to {', '.join(app.redirect_uris)}" if app.redirect_uris else "")
        for app in settings.apps.values()
    )
    library = f"for their client libraries: {settings.public_url}/.well-known/openid-configuration"
    return (*(Finding(True, text) for text in told), Finding(True, library))


def has_fault(examined: Examined, key: str) -> bool:
    return any((fault.table, fault.key) == ("gateway", key) for fault in examined.faults)


def uris_to_register(
    examined: Examined, settings: Settings, ends_session: Mapping[str, bool | None]
) -> tuple[dict[str, str], dict[str, str]]:
    """Callback and signed-out addresses by provider; none while `public_url` is not sound."""
    if has_fault(examined, "public_url"):
        return {}, {}
    names = dict.fromkeys((*examined.declared, *settings.not_configured))
    callbacks = {name: f"{settings.public_url}/auth/{name}/callback" for name in names}
    return callbacks, {name: f"{settings.public_url}/auth/signed-out" for name in names if ends_session.get(name)}


def ends_session(provider: ProviderSettings, looked: Looked | None) -> bool | None:
    """Whether the provider has an end-session page: as it says itself, or else as its preset knows."""
    if looked is not None and looked.end_session is not None:
        return looked.end_session
    preset = presets().get(provider.preset or "")
    return preset.end_session if preset else None


# Database


async def look_at_database(examined: Examined, settings: Settings) -> tuple[Finding, ...]:
    if has_fault(examined, "database_url"):
        return ()
    file = sqlite_file(settings.database_url)
    if file is None:
        return (await look_at_schema(settings, describe_database(settings.database_url)),)
    schema = look_ahead(file) or await look_at_schema(settings, file)
    return (schema, *look_at_keys(keys_file(file)))


def look_ahead(file: str) -> Finding | None:
    """For a file that is not there yet: looking at its schema would make it."""
    return None if Path(file).exists() else Finding(True, f"{file} will be made at the first start")


def look_at_keys(file: Path) -> tuple[Finding, ...]:
    if not file.exists() or not stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO:
        return ()
    return (Finding(False, f"{file}: open to every user of this machine", f"chmod 600 {file}"),)


def describe_database(url: str) -> str:
    if is_sqlite(url):
        return "the database in memory"
    parsed = normalise(url)
    return f"{parsed.database or 'the database'} at {parsed.host or 'this machine'}"


async def look_at_schema(settings: Settings, name: str) -> Finding:
    from .migrate import schema_state  # Alembic takes half a second to import

    try:
        async with asyncio.timeout(PATIENCE):
            state = await schema_state(settings.database_url)
    except TimeoutError:
        return Finding(False, f"{name}: no answer within {PATIENCE} s", "Is the database running, and let through?")
    except ImportError as error:
        return Finding(False, f"{name}: {brief(error)}", "pip install 'login-gateway[postgres]' brings the driver.")
    except Exception as error:  # every driver has its own; none may hide the rest of the report
        return Finding(False, f"{name}: cannot be used: {brief(error)}", "Mend database_url, or the database.")
    match state:
        case "current":
            return Finding(True, f"{name}: the schema is up to date")
        case "empty" if is_sqlite(settings.database_url):
            return Finding(True, f"{name}: empty; the schema will be made at the first start")
        case "empty":
            return Finding(False, f"{name}: no schema yet", "gateway migrate makes it.")
        case "outdated":
            return Finding(False, f"{name}: the schema is outdated", "gateway migrate brings it up to date.")
        case "newer":
            hint = "Install the newer version, or restore a backup from before it."
            return Finding(False, f"{name}: the schema is newer than this version of the gateway", hint)


# Providers


class Listening(httpx2.AsyncBaseTransport):
    """Passes requests on and notes by how much this machine's clock is ahead of what each answer says."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.skews: dict[str, float] = {}  # seconds, by URL

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if (skew := skew_of(response.headers, self._clock())) is not None:
            self.skews[str(request.url)] = skew
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def skew_of(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `now` is ahead of `Date`, which a cache may have kept for `Age` (RFC 9110 section 6.6.1)."""
    try:
        shown = parsedate_to_datetime(headers["Date"]).timestamp()
        return now - shown - float(headers.get("Age", "0"))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


async def look_at_providers(
    settings: Mapping[str, ProviderSettings],
    general: Settings,
    clock: Clock,
    transport: httpx2.AsyncBaseTransport | None,
) -> dict[str, Looked]:
    """Every provider at once; one that is slow holds up none."""
    if not settings:
        return {}
    listening = Listening(transport or httpx2.AsyncHTTPTransport(trust_env=False), clock)
    providers = Providers(settings, public_url=general.public_url, clock=clock, transport=listening)
    try:
        looked = await asyncio.gather(*(look_at(provider, listening) for provider in providers))
    finally:
        await providers.close()
        await listening.aclose()
    return dict(zip(settings, looked, strict=True))


async def look_at(provider: ProviderClient, listening: Listening) -> Looked:
    settings, name = provider.settings, provider.name
    try:
        async with asyncio.timeout(PATIENCE):
            document = await provider.metadata()
    except IssuerMisconfigured as fault:
        text = f"{name}: issuer mismatch: {settings.issuer} is expected, but {cause_of(fault, name)}"
        return Looked((Finding(False, text, f"Mend discovery_url or issuer. Asked: {settings.discovery_url}"),), None)
    except ProviderFault as fault:
        text = f"{name}: discovery cannot be read: {cause_of(fault, name)}"
        return Looked((Finding(False, text, f"Can this machine reach {settings.discovery_url}?"),), None)
    except TimeoutError:
        text = f"{name}: discovery gives no answer within {PATIENCE} s"
        return Looked((Finding(False, text, f"Can this machine reach {settings.discovery_url}?"),), None)
    skew = listening.skews.get(str(httpx2.URL(settings.discovery_url)))
    findings = (Finding(True, f"{name}: discovery answers, issuer {document['issuer']}"), *clock_findings(name, skew))
    return Looked(findings, bool(document.get("end_session_endpoint")), skew)


def cause_of(fault: ProviderFault, name: str) -> str:
    return fault.cause.removeprefix(f"{name}: discovery: ")[:LONGEST_CAUSE]


def clock_findings(name: str, skew: float | None) -> tuple[Finding, ...]:
    if skew is None or abs(skew) <= CLOCK_TOLERANCE:
        return ()
    direction = "ahead of" if skew > 0 else "behind"
    hint = "Set this machine's clock (NTP): tokens are refused when clocks differ too much."
    return (Finding(False, f"{name}: the clock here is {abs(skew):.0f} s {direction} the provider's", hint),)


def agreement(looked: Mapping[str, Looked]) -> tuple[Finding, ...]:
    """One good line for all clocks that agree."""
    agreeing = [name for name, each in looked.items() if each.skew is not None and abs(each.skew) <= CLOCK_TOLERANCE]
    return (Finding(True, f"the clock here agrees with {', '.join(agreeing)}"),) if agreeing else ()


# Text


def render(report: Report, *, plain: bool) -> str:
    """The report as text; `plain` for a terminal that has only ASCII."""
    good, bad = ("[ok]", "[!!]") if plain else ("✓", "✗")
    blocks = [
        "\n".join((title, *(line_of(finding, good if finding.good else bad) for finding in findings)))
        for title, findings in report.sections.items()
    ]
    blocks += [
        "\n".join((title, *columns(uris)))
        for title, uris in (
            ("Redirect URIs to register, exactly so", report.redirect_uris),
            ("Post-logout redirect URIs, only to sign out at the provider too", report.signed_out_uris),
        )
        if uris
    ]
    faults = sum(not finding.good for findings in report.sections.values() for finding in findings)
    idle = any(NOBODY in finding.text for findings in report.sections.values() for finding in findings)
    well = "No fault, but no provider is on offer." if idle else "All is well."
    blocks.append(well if not faults else "1 fault." if faults == 1 else f"{faults} faults.")
    return "\n\n".join(blocks)


def line_of(finding: Finding, mark: str) -> str:
    line = f"  {mark} {finding.text}"
    return f"{line}\n   {' ' * len(mark)}{finding.hint}" if finding.hint else line


def columns(uris: Mapping[str, str]) -> Iterable[str]:
    width = max(map(len, uris))
    return (f"  {name:<{width}}  {uri}" for name, uri in uris.items())
