"""`gateway check`: names what is wrong, each by itself, and prints what to register."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from gateway.check import Report, check, render, run_checks, skew_of
from gateway.settings import examine
from gateway.settings.load import Examined
from gateway.testing import Behaviour, Google, Microsoft, StandIn, answers
from gateway.testing.behaviour import append

GUID = "11111111-aaaa-4bbb-8ccc-222222222222"
KEY = "an-obviously-fake-secret-key-for-tests-0123456789"
IN_MEMORY = {"GATEWAY_DATABASE_URL": "sqlite://"}
CORP = '[providers.corp]\nclient_id = "a"\nclient_secret = "b"\n'


def at(stand_in: StandIn) -> str:
    return CORP + f'discovery_url = "{stand_in.discovery_url}"\n'


def run(folder: Path, config: str, environ: Mapping[str, str] = IN_MEMORY, *, offline: bool = True) -> tuple[int, str]:
    path = folder / "providers.toml"
    path.write_text(config)
    return check(str(path), offline, environ, {})


def examined(config: str, folder: Path, environ: Mapping[str, str] = IN_MEMORY) -> Examined:
    path = folder / "providers.toml"
    path.write_text(config)
    return examine(path, environ, make_keys=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


GOOGLE = '[providers.google]\npreset = "google"\nclient_id = "a"\n'
MICROSOFT = '[providers.microsoft]\npreset = "microsoft"\ntenant = "consumers"\nclient_id = "a"\n'


@pytest.mark.parametrize(
    ("config", "place", "hint"),
    [
        (GOOGLE + 'client_secret = ""', "[providers.google] client_secret: empty", "Google Cloud console"),
        (
            MICROSOFT + f'client_secret = "{GUID}"',
            "[providers.microsoft] client_secret: a GUID, not shown",
            "A GUID is the secret's id, not the secret. Copy the column Value",
        ),
        ("[gateway]\npublik_url = 'x'", "[gateway] publik_url: unknown key", 'Did you mean "public_url"?'),
        (
            GOOGLE + 'client_secret = "${NOWHERE_SET}"',
            "[providers.google] client_secret: ${NOWHERE_SET}, which is not set",
            "Set the environment variable NOWHERE_SET",
        ),
        ("[gateway]\npublic_url = 'http://a.example'", '[gateway] public_url: "http://a.example"', "Use https"),
    ],
)
def test_each_fault_of_the_file_is_named_with_what_mends_it(tmp_path: Path, config: str, place: str, hint: str) -> None:
    status, report = run(tmp_path, config)
    assert status == 1
    assert re.search(rf"✗ \S+providers.toml {re.escape(place)}\n +{re.escape(hint)}", report)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, report = check(str(tmp_path / "absent.toml"), True, {}, {})
    assert (status, "absent.toml: no such file or directory" in report) == (1, True)


def test_all_is_well(tmp_path: Path) -> None:
    with StandIn().serve() as provider:
        status, report = run(tmp_path, at(provider), offline=False)
    assert status == 0
    assert f"✓ corp: discovery answers, issuer {provider.issuer}" in report
    assert "✓ the clock here agrees with corp" in report


def test_a_provider_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/.well-known/openid-configuration"
    status, report = run(tmp_path, CORP + f'discovery_url = "{url}"', offline=False)
    assert status == 1
    assert re.search(rf"✗ corp: discovery cannot be read: .*\n +Can this machine reach {url}\?", report)


def test_an_issuer_mismatch_is_named(tmp_path: Path) -> None:
    with StandIn(Behaviour(discovery=append("issuer", "INVALID"))).serve() as provider:
        status, report = run(tmp_path, at(provider), offline=False)
    assert status == 1
    assert f"✗ corp: issuer mismatch: {provider.base_url} is expected, but the document names" in report


@pytest.mark.parametrize(
    ("seconds", "words"), [(90, "90 s ahead of the provider's"), (-90, "90 s behind the provider's"), (10, None)]
)
async def test_a_clock_that_is_off_is_named(tmp_path: Path, seconds: int, words: str | None) -> None:
    with StandIn().serve() as provider:
        report = await run_checks(
            examined(at(provider), tmp_path), offline=False, clock=lambda: float(int(time.time()) + seconds)
        )
    shown = re.sub(r"\b(89|91) s", "90 s", render(report, plain=False))
    assert (words in shown) if words else report.good


def test_what_a_cache_kept_is_older_than_its_date() -> None:
    now = 1_700_000_000.0
    assert skew_of({"Date": formatdate(now - 600, usegmt=True), "Age": "600"}, now) == 0


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": formatdate(0), "Age": "old"}])
def test_a_clock_that_is_not_shown_says_nothing(headers: dict[str, str]) -> None:
    assert skew_of(headers, 0.0) is None


def test_a_provider_that_is_slow_holds_up_none(tmp_path: Path) -> None:
    slow = StandIn(Behaviour(answers={"discovery": answers.silence(30)}))
    with slow.serve(), StandIn().serve() as quick:
        _, report = run(tmp_path, at(slow).replace("corp", "slow") + at(quick), offline=False)
    assert re.search(r"✗ slow: discovery .*no answer within \d s", report)
    assert "✓ corp: discovery answers" in report


def test_providers_are_asked_even_when_the_file_has_faults(tmp_path: Path) -> None:
    with StandIn().serve() as provider:
        status, report = run(tmp_path, at(provider).replace('"b"', '""') + "[gateway]\nsignup = 'x'", offline=False)
    assert status == 1
    assert "client_secret: empty" in report
    assert "✓ corp: discovery answers" in report


def test_offline_asks_nobody(tmp_path: Path) -> None:
    with StandIn().serve() as provider:
        status, _ = run(tmp_path, at(provider))
    assert (status, provider.calls) == (0, [])


# What to register


def test_redirect_uris_are_exact(tmp_path: Path) -> None:
    config = "[gateway]\npublic_url = 'https://Login.example.com/sso/'\n" + GOOGLE + "client_secret = 's'\n"
    _, report = run(tmp_path, config)
    assert "  google  https://login.example.com/sso/auth/google/callback" in report.splitlines()


def test_a_provider_that_is_not_configured_yet_can_be_registered(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[1] / "providers.toml"
    status, report = run(tmp_path, shipped.read_text())
    assert status == 0
    assert "http://localhost:8000/auth/google/callback" in report
    assert "http://localhost:8000/auth/microsoft/callback" in report


def signed_out(report: Report) -> list[str]:
    return list(report.signed_out_uris.values())


async def test_the_signed_out_page_is_printed_where_people_can_be_signed_out(tmp_path: Path) -> None:
    with Microsoft().serve() as provider:
        config = MICROSOFT + f'client_secret = "s"\nauthority = "{provider.base_url}"'
        report = await run_checks(examined(config, tmp_path), offline=False)
    assert signed_out(report) == ["http://localhost:8000/auth/signed-out"]


async def test_the_signed_out_page_is_not_printed_where_they_cannot(tmp_path: Path) -> None:
    with Google().serve() as provider:
        report = await run_checks(examined(at(provider), tmp_path), offline=False)
    assert signed_out(report) == []


@pytest.mark.parametrize(("config", "expected"), [(GOOGLE, 0), (MICROSOFT, 1), (CORP, 0)])
async def test_offline_the_preset_knows_about_the_signed_out_page(tmp_path: Path, config: str, expected: int) -> None:
    assert len(signed_out(await run_checks(examined(config, tmp_path), offline=True))) == expected


def test_no_address_is_printed_while_the_public_one_is_unsound(tmp_path: Path) -> None:
    _, report = run(tmp_path, "[gateway]\npublic_url = 'http://a.example'\n" + GOOGLE + "client_secret = 's'")
    assert "/auth/google/callback" not in report


# Database


def with_database(url: str) -> dict[str, str]:
    return {"GATEWAY_DATABASE_URL": url, "GATEWAY_SECRET_KEYS": KEY}


def alter(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_schema_that_is_up_to_date_is_fine(tmp_path: Path, database_url: str) -> None:
    status, report = run(tmp_path, "", with_database(database_url))
    assert (status, "the schema is up to date" in report) == (0, True)


def test_an_outdated_schema_is_named(tmp_path: Path, database_url: str) -> None:
    alter(database_url, "DELETE FROM alembic_version")
    status, report = run(tmp_path, "", with_database(database_url))
    assert status == 1
    assert re.search(r"✗ .*: the schema is outdated\n +gateway migrate", report)


def test_a_schema_from_the_future_is_named(tmp_path: Path, database_url: str) -> None:
    alter(database_url, "UPDATE alembic_version SET version_num = '9999'")
    status, report = run(tmp_path, "", with_database(database_url))
    assert (status, "newer than this version" in report) == (1, True)


def test_a_database_that_is_not_there_yet_is_fine_on_sqlite(tmp_path: Path) -> None:
    status, report = run(tmp_path, "", {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"})
    assert (status, "will be made at the first start" in report) == (0, True)


def test_looking_leaves_no_file_behind(tmp_path: Path) -> None:
    run(tmp_path, "", {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"})
    assert [path.name for path in tmp_path.iterdir()] == ["providers.toml"]


def test_a_server_that_cannot_be_reached_is_named_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/gateway"
    status, report = run(tmp_path, "", with_database(url))
    assert (status, "hunter2" in report) == (1, False)
    assert "✗ gateway at 127.0.0.1: cannot be used: " in report


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_text("this is a text, and a long one, not a database" * 100)
    status, report = run(tmp_path, "", with_database(f"sqlite:///{tmp_path}/gateway.db"))
    assert (status, "cannot be used: file is not a database" in report) == (1, True)


def test_keys_that_everybody_can_read_are_named(tmp_path: Path) -> None:
    kept = tmp_path / "gateway.db.secret-keys"
    kept.write_text(KEY)
    kept.chmod(0o644)
    status, report = run(tmp_path, "", {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db"})
    assert (status, f"chmod 600 {kept}" in report) == (1, True)


# Text


async def test_a_terminal_without_unicode_gets_ascii(tmp_path: Path) -> None:
    report = await run_checks(examined(GOOGLE + 'client_secret = "${UNSET}"', tmp_path), offline=True)
    assert render(report, plain=True).isascii()


def test_no_secret_is_printed(tmp_path: Path) -> None:
    secret = "s3cret-that-nobody-may-see"
    values: dict[str, Any] = {"GATEWAY_SECRET_KEYS": secret, "GATEWAY_PROVIDERS__CORP__CLIENT_SECRET": secret}
    _, report = run(tmp_path, CORP + "discovery_url = 'x'\n", {**IN_MEMORY, **values})
    assert secret not in report
