"""The documents agree with the code, each check can fail, and README's examples run against a real gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import documents
from documents import CHECKS, Check, Tree, blocks, gather_facts, read_tree
from harness import World, world

TREE = read_tree()
FACTS = gather_facts()
HTTP, ERRORS, EVENTS = "docs/http.md", "docs/errors.md", "docs/events.md"
CHANGELOG, OPERATIONS, INDEX = "docs/CHANGELOG.md", "docs/operations.md", "docs/index.md"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_documents_agree_with_the_code(check: Check) -> None:
    assert list(check(TREE, FACTS)) == []


def changed(path: str, old: str, new: str) -> Tree:
    """The tree with one text replaced in one file, which must have been there."""
    text = TREE.texts[path]
    assert old in text
    return replace(TREE, texts={**TREE.texts, path: text.replace(old, new)})


def added(path: str, text: str) -> Tree:
    """The tree with more at the end of one file, or with a file it did not have."""
    return replace(TREE, texts={**TREE.texts, path: TREE.texts.get(path, "") + text})


def block(kind: str, body: str) -> Tree:
    return added("README.md", f"\n```{kind}\n{body}\n```\n")


# (what is broken, the copy, the sentence that must come of it)
BROKEN: tuple[tuple[Check, Callable[[], Tree], str], ...] = (
    (documents.check_routes, lambda: changed(HTTP, "### GET /auth/me\n", "### Me\n"), "no heading for GET /auth/me"),
    (
        documents.check_routes,
        lambda: changed(HTTP, "GET or POST /auth/{p", "GET /auth/{p"),
        "no heading for POST /auth/{p",
    ),
    (
        documents.check_routes,
        lambda: added(HTTP, "\n### PUT /auth/me\n"),
        "heading for PUT /auth/me, which is not there",
    ),
    (
        documents.check_error_codes,
        lambda: changed(ERRORS, "### attempt_used\n", "### Used\n"),
        "no heading for attempt_used",
    ),
    (documents.check_error_codes, lambda: added(ERRORS, "\n### gone_away\n"), "a heading for gone_away"),
    (
        documents.check_error_codes,
        lambda: changed(ERRORS, "### not_found\n\nStatus: 404", "### not_found\n\nStatus: 410"),
        "not_found has status 404",
    ),
    (documents.check_event_names, lambda: changed(EVENTS, "### signed_in\n", "### In\n"), "no heading for signed_in"),
    (documents.check_event_names, lambda: added(EVENTS, "\n### signed_up\n"), "a heading for signed_up"),
    (
        documents.check_commands,
        lambda: changed(OPERATIONS, "### `gateway prune`\n", ""),
        "no heading for gateway prune",
    ),
    (documents.check_commands, lambda: added(OPERATIONS, "\n### `gateway dance`\n"), "a heading for gateway dance"),
    (
        documents.check_commands,
        lambda: changed(OPERATIONS, "`--workers` (1)", "workers"),
        "gateway serve lacks --workers",
    ),
    (
        documents.check_commands,
        lambda: changed(OPERATIONS, "`--workers` (1)", "`--workers`, `--fast`"),
        "has no --fast",
    ),
    (
        documents.check_metrics,
        lambda: changed(OPERATIONS, "`gateway_errors_total`", ""),
        "nothing about gateway_errors",
    ),
    (documents.check_metrics, lambda: changed(OPERATIONS, "`gateway_errors_total`", "`gateway_x`"), "gateway_x is not"),
    (documents.check_links, lambda: added("README.md", "[gone](docs/gone)"), "docs/gone leads nowhere"),
    (documents.check_links, lambda: added(HTTP, "[gone](errors.md#gone)"), "errors.md#gone names no heading there"),
    (documents.check_links, lambda: added(HTTP, "[gone](#gone)"), "#gone names no heading there"),
    (documents.check_links, lambda: added("README.md", '<img src="docs/images/gone.png">'), "gone.png leads nowhere"),
    (documents.check_shell_blocks, lambda: block("sh", "scripts/dance"), "scripts/dance is not there"),
    (
        documents.check_shell_blocks,
        lambda: replace(TREE, executable=frozenset()),
        "scripts/demo is not there or cannot",
    ),
    (documents.check_shell_blocks, lambda: block("sh", "scripts/demo --gate 1"), "gateway demo has no --gate"),
    (documents.check_shell_blocks, lambda: block("sh", "A=1 gateway dance"), "there is no command gateway dance"),
    (documents.check_shell_blocks, lambda: block("sh", "gateway keys list --all"), "gateway keys list has no --all"),
    (documents.check_shell_blocks, lambda: block("sh", "frobnicate"), "frobnicate is no command"),
    (documents.check_code_blocks, lambda: block("python", "def f(:"), "a python block cannot be read"),
    (documents.check_code_blocks, lambda: block("json", "{'a': 1}"), "a json block cannot be read"),
    (documents.check_code_blocks, lambda: block("toml", "a = b"), "a toml block cannot be read"),
    (documents.check_code_blocks, lambda: block("toml", "[gateway]\npublic = 1"), "[gateway] has no key public"),
    (documents.check_code_blocks, lambda: block("toml", "[providers.x]\nid = 1"), "[providers] has no key id"),
    (documents.check_code_blocks, lambda: block("toml", "[provider.x]\nid = 1"), "table provider, which there is not"),
    (documents.check_index, lambda: added("docs/more.md", "# More\n"), "no link to docs/more.md"),
    (
        documents.check_changelog,
        lambda: changed(CHANGELOG, f"## {FACTS.version}\n", "## 9\n"),
        "no heading for version",
    ),
    (documents.check_changelog, lambda: changed(CHANGELOG, "### Security\n", ""), "has no heading Security"),
    (documents.check_lengths, lambda: added("gateway/long.py", "\n" * 401), "gateway/long.py: 401 lines"),
    (documents.check_traces, lambda: added("README.md", " /home/ada/notes"), "a path of somebody's machine"),
    (documents.check_traces, lambda: added("gateway/app.py", "# see PAPER.md"), "names PAPER.md, which is not there"),
    (documents.check_traces, lambda: added("pyproject.toml", 'index-url = "x"'), "a package registry"),
)


@pytest.mark.parametrize(("check", "broken", "sentence"), BROKEN, ids=[sentence for _, _, sentence in BROKEN])
def test_a_broken_copy_is_noticed(check: Check, broken: Callable[[], Tree], sentence: str) -> None:
    assert any(sentence in fault for fault in check(broken(), FACTS))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_check_has_a_broken_copy(check: Check) -> None:
    assert any(check is shown for shown, _, _ in BROKEN)


def test_a_route_that_is_added_must_be_documented() -> None:
    more = replace(FACTS, routes=FACTS.routes | {("GET", "/auth/new")})
    assert list(documents.check_routes(TREE, more)) == [f"{HTTP}: no heading for GET /auth/new"]


def test_what_tools_leave_behind_is_not_looked_at() -> None:
    assert not [path for path in (*TREE.texts, *TREE.others) if ".venv" in path or "__pycache__" in path]


# README's examples


@pytest.fixture(scope="module")
def gate(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    path = tmp_path_factory.mktemp("documents") / "gateway.db"
    path.write_bytes(sqlite_template.read_bytes())
    with world(f"sqlite:///{path}") as made:
        yield made


def example(gate: World, function: str) -> Callable[[str], Any]:
    """A function out of README's Python blocks, its addresses those of the running gateway."""
    (source,) = (one for one in blocks(TREE.page("README.md"), "python") if f"def {function}(" in one)
    for address in ("http://127.0.0.1:8000", "https://login.example.com"):
        source = source.replace(address, gate.gateway.url)
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)  # noqa: S102  our own page, to see that it runs
    made: Callable[[str], Any] = names[function]
    return made


def signed_in(gate: World) -> Mapping[str, str]:
    """The cookies of somebody who has just signed in."""
    with gate.gateway.browser() as browser:
        gate.sign_in(browser, "google")
        return dict(browser.cookies)


def test_readme_names_the_person_behind_a_cookie(gate: World) -> None:
    person = example(gate, "who_is")(f"gateway={signed_in(gate)['gateway']}")
    assert person["identities"][0]["provider"] == "google"


def test_readme_names_nobody_without_a_cookie(gate: World) -> None:
    assert example(gate, "who_is")("") is None


def test_readme_reads_the_account_out_of_an_access_token(gate: World) -> None:
    token = signed_in(gate)["gateway"]
    assert example(gate, "account_of")(token) == example(gate, "who_is")(f"gateway={token}")["id"]


def test_readme_believes_no_altered_token(gate: World) -> None:
    head, _, tail = signed_in(gate)["gateway"].rpartition(".")
    assert example(gate, "account_of")(f"{head}.{'B' if tail[0] == 'A' else 'A'}{tail[1:]}") is None


def test_readme_believes_no_token_of_another_kind(gate: World) -> None:
    parts = gate.gateway.app.parts
    now = int(time.time())
    claims = {"iss": gate.gateway.url, "aud": gate.gateway.url, "sub": "somebody", "exp": now + 60}
    token = parts.keyring.signer("JWT").sign(claims)
    assert example(gate, "account_of")(token) is None


def test_readme_believes_no_token_for_another_audience(gate: World) -> None:
    parts = gate.gateway.app.parts
    claims = {"iss": gate.gateway.url, "aud": "https://other.example", "sub": "somebody", "exp": int(time.time()) + 60}
    token = parts.keyring.signer("at+jwt").sign(claims)
    assert example(gate, "account_of")(token) is None
