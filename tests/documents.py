"""The documents held against the code: every check yields sentences that say what does not agree.

    Tree (what is written)  ─┐
                             ├─► check ─► "docs/http.md: no heading for GET /auth/me"
    Facts (what is there)   ─┘

`scripts/check-documents` prints them; `test_documents.py` wants none, and breaks a copy for every check.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import click

ROOT = Path(__file__).parents[1]
HTTP, ERRORS, EVENTS = "docs/http.md", "docs/errors.md", "docs/events.md"
OPERATIONS, INDEX, CHANGELOG = "docs/operations.md", "docs/index.md", "docs/CHANGELOG.md"

LONGEST_MODULE = 400  # lines
SPOKEN = frozenset(("cd", "cp", "curl", "export", "git", "openssl", "pg_dump", "pip", "psql", "python3", "sqlite3"))
RUNS = {"scripts/demo": "gateway demo", "scripts/serve": "gateway serve"}  # arguments are handed on
GENERAL = frozenset(("--help", "-h", "--version"))
SHOWS_FAULTS = frozenset(("tests/test_documents.py",))  # breaks copies on purpose

FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>[a-z]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$", re.MULTILINE)
ROUTE = re.compile(r"(?P<methods>[A-Z]+(?:(?:, | or )[A-Z]+)*) (?P<path>/\S*)")
LINK = re.compile(r"""\]\((?P<inline>[^)\s]+)\)|\b(?:src|srcset|href)="(?P<attribute>[^"]+)\"""")
FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:|//")
DOCUMENT = re.compile(r"(?<![\w./:*-])[\w./-]*\w\.md\b")
TRACES: Mapping[str, re.Pattern[str]] = {
    "a path of somebody's machine": re.compile(r"(?<![\w.~/}>-])/(?:home|root|Users|work)/\w"),
    "a package registry": re.compile(
        r"\bindex[-_]url\b|\bfind-links\b|\b(?:pypi|registry|artifactory|nexus)\.[\w-]+\.[a-z]{2,}\b"
    ),
}


@dataclass(frozen=True, slots=True)
class Tree:
    """What is written: text by path from the root, the paths of everything else, and what can be executed."""

    texts: Mapping[str, str]
    others: frozenset[str] = frozenset()
    executable: frozenset[str] = frozenset()

    @property
    def pages(self) -> Mapping[str, str]:
        return {path: text for path, text in self.texts.items() if path.endswith(".md")}

    def has(self, path: str) -> bool:
        """Whether there is such a file, or a folder with one in it."""
        known = (*self.texts, *self.others)
        return any(one == path or one.startswith(f"{path.rstrip('/')}/") for one in known)

    def page(self, path: str) -> str:
        return self.texts.get(path, "")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is there: asked of the code, never written down twice."""

    routes: frozenset[tuple[str, str]]  # method and path
    errors: Mapping[str, frozenset[int]]  # code -> statuses
    events: frozenset[str]
    commands: Mapping[str, frozenset[str]]  # "gateway keys rotate" -> its options
    metrics: frozenset[str]
    settings: Mapping[str, frozenset[str]]  # table -> keys
    version: str


Check = Callable[[Tree, Facts], Iterator[str]]


def read_tree(root: Path = ROOT) -> Tree:
    """The project's files; what tools leave behind is not part of it."""
    texts, others, executable = {}, set(), set()
    for file in sorted(walk(root)):
        path = file.relative_to(root).as_posix()
        try:
            texts[path] = file.read_text("utf-8")
        except UnicodeDecodeError:
            others.add(path)
        if os.access(file, os.X_OK):
            executable.add(path)
    return Tree(texts, frozenset(others), frozenset(executable))


def walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        left_behind = entry.name.startswith(".") and entry.name != ".ci"
        left_behind |= entry.name in ("__pycache__", "dist", "build") or ".db" in entry.name
        if entry.is_dir() and not left_behind:
            yield from walk(entry)
        elif entry.is_file() and not left_behind:
            yield entry


def gather_facts() -> Facts:
    import gateway
    from gateway import events
    from gateway.cli import gateway as program
    from gateway.settings import keys
    from gateway.web.metrics import FAMILIES

    return Facts(
        routes=frozenset(registered_routes()),
        errors=error_codes(),
        events=frozenset(events.NAMES),
        commands=dict(walk_commands(program, "gateway")),
        metrics=frozenset(FAMILIES),
        settings={
            "gateway": frozenset(keys.GATEWAY),
            "providers": frozenset(keys.PROVIDER),
            "apps": frozenset(keys.APP),
            "roles": frozenset(keys.ROLE),
        },
        version=gateway.__version__,
    )


def registered_routes() -> Iterator[tuple[str, str]]:
    """Every method and path of the application, HEAD apart."""
    from gateway.app import ROUTES

    for route in ROUTES:
        yield from ((method, route.path) for method in (route.methods or {"GET"}) - {"HEAD"})


def error_codes() -> Mapping[str, frozenset[int]]:
    """The statuses of every code; a class without a sentence of its own is only a branch of the tree."""
    from gateway import errors

    codes: dict[str, set[int]] = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.GatewayError) and "sentence" in vars(error):
            codes.setdefault(error.code, set()).add(error.status)
    return {code: frozenset(statuses) for code, statuses in codes.items()}


def walk_commands(command: click.Command, name: str) -> Iterator[tuple[str, frozenset[str]]]:
    if isinstance(command, click.Group):
        for child, inner in command.commands.items():
            yield from walk_commands(inner, f"{name} {child}")
        return
    options = (param for param in command.params if isinstance(param, click.Option))
    yield name, frozenset(spelling for option in options for spelling in option.opts)


def prose(text: str) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", text)


def headings(text: str) -> list[str]:
    return [title.replace("`", "") for _, title in HEADING.findall(prose(text))]


def section(text: str, title: str) -> str:
    """What stands under a heading, down to the next one of its level; empty without it."""
    found = re.search(rf"^(#{{1,6}}) `?{re.escape(title)}`?\s*$", text, re.MULTILINE)
    if found is None:
        return ""
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def blocks(text: str, *kinds: str) -> list[str]:
    return [textwrap.dedent(found["body"]) for found in FENCE.finditer(text) if found["kind"] in kinds]


def compare(page: str, told: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    told, there = set(told), set(there)
    yield from (f"{page}: no heading for {name}" for name in sorted(there - told))
    yield from (f"{page}: a heading for {name}, which is not there" for name in sorted(told - there))


def check_routes(tree: Tree, facts: Facts) -> Iterator[str]:
    told = []
    for title in headings(tree.page(HTTP)):
        if found := ROUTE.fullmatch(title):
            told += [f"{method} {found['path']}" for method in re.split(", | or ", found["methods"])]
    yield from compare(HTTP, told, (f"{method} {path}" for method, path in facts.routes))


def check_error_codes(tree: Tree, facts: Facts) -> Iterator[str]:
    page = tree.page(ERRORS)
    told = [title for title in headings(page) if re.fullmatch(r"[a-z]+(_[a-z]+)+", title)]
    yield from compare(ERRORS, told, facts.errors)
    for code in sorted(facts.errors.keys() & set(told)):
        status = re.search(r"^Status: (.+?)\.?$", section(page, code), re.MULTILINE)
        named = frozenset(map(int, re.findall(r"\d{3}", status[1]))) if status else frozenset()
        if named != facts.errors[code]:
            yield f"{ERRORS}: {code} has status {', '.join(map(str, sorted(facts.errors[code])))}"


def check_event_names(tree: Tree, facts: Facts) -> Iterator[str]:
    told = [title for title in headings(tree.page(EVENTS)) if re.fullmatch(r"[a-z]+(_[a-z]+)*", title)]
    yield from compare(EVENTS, told, facts.events)


def check_commands(tree: Tree, facts: Facts) -> Iterator[str]:
    page = tree.page(OPERATIONS)
    told = [title for title in headings(page) if title.startswith("gateway ")]
    yield from compare(OPERATIONS, told, facts.commands)
    for command in sorted(facts.commands.keys() & set(told)):
        named = set(re.findall(r"--[a-z][a-z-]*", section(page, command)))
        yield from (
            f"{OPERATIONS}: {command} lacks {option}" for option in sorted(facts.commands[command] - named - GENERAL)
        )
        yield from (
            f"{OPERATIONS}: {command} has no {option}" for option in sorted(named - facts.commands[command] - GENERAL)
        )


def check_metrics(tree: Tree, facts: Facts) -> Iterator[str]:
    told = set(re.findall(r"`((?:gateway|process)_[a-z_]+)`", section(tree.page(OPERATIONS), "Metrics")))
    yield from (f"{OPERATIONS}: nothing about {name}" for name in sorted(facts.metrics - told))
    yield from (f"{OPERATIONS}: {name} is not counted" for name in sorted(told - facts.metrics))


def check_links(tree: Tree, _facts: Facts) -> Iterator[str]:
    """Relative links, pictures and `#anchors`; other sites are not asked."""
    for page, text in tree.pages.items():
        for found in LINK.finditer(prose(text)):
            target = found["inline"] or found["attribute"]
            if FOREIGN.match(target):
                continue
            path, _, anchor = unquote(target).partition("#")
            place = resolve(page, path)
            if not tree.has(place):
                yield f"{page}: {target} leads nowhere"
            elif anchor and anchor not in anchors(tree.page(place)):
                yield f"{page}: {target} names no heading there"


def resolve(page: str, path: str) -> str:
    """A relative path as seen from the root; an empty one is the page itself."""
    if not path:
        return page
    steps: list[str] = []
    for step in (PurePosixPath(page).parent / path).parts:
        if step == ".." and steps:
            steps.pop()
        elif step != ".":
            steps.append(step)
    return "/".join(steps)


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(text)}


def check_shell_blocks(tree: Tree, facts: Facts) -> Iterator[str]:
    for page, text in tree.pages.items():
        for block in blocks(text, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                yield from (f"{page}: {fault}" for fault in judge_command(line, tree, facts))


def judge_command(line: str, tree: Tree, facts: Facts) -> Iterator[str]:
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words or words[0] in SPOKEN:
        return
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    own = program.startswith(("scripts/", "benchmarks/", "examples/"))
    if own and program not in tree.executable:
        yield f"{program} is not there or cannot be executed"
    elif program in RUNS:
        yield from judge_options(RUNS[program], arguments, facts)
    elif program == "gateway":
        yield from judge_gateway(arguments, facts)
    elif not own:
        yield f"{program} is no command that a reader is known to have"


def judge_gateway(arguments: list[str], facts: Facts) -> Iterator[str]:
    for size in (2, 1):
        command = " ".join(("gateway", *arguments[:size]))
        if command in facts.commands:
            yield from judge_options(command, arguments[size:], facts)
            return
    yield f"there is no command gateway {' '.join(arguments[:2])}".rstrip()


def judge_options(command: str, arguments: list[str], facts: Facts) -> Iterator[str]:
    given = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
    yield from (f"{command} has no {option}" for option in sorted(given - facts.commands[command] - GENERAL))


def check_code_blocks(tree: Tree, facts: Facts) -> Iterator[str]:
    """Python compiles, JSON and TOML can be read, and configuration uses keys that exist."""
    readers: Mapping[str, Callable[[str], Any]] = {"python": ast.parse, "json": json.loads, "toml": tomllib.loads}
    for page, text in tree.pages.items():
        for kind, read in readers.items():
            for block in blocks(text, kind):
                try:
                    content = read(block)
                except (SyntaxError, ValueError) as error:
                    yield f"{page}: a {kind} block cannot be read: {error}"
                    continue
                if kind == "toml":
                    yield from (f"{page}: {fault}" for fault in unknown_keys(content, facts))


def unknown_keys(content: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    for table, value in content.items():
        entries = {"gateway": [value], "roles": value}.get(table, value.values() if isinstance(value, dict) else [])
        if table not in facts.settings:
            yield f"a toml block has a table {table}, which there is not"
            continue
        for entry in entries:
            yield from (f"[{table}] has no key {key}" for key in sorted(entry.keys() - facts.settings[table]))


def check_index(tree: Tree, _facts: Facts) -> Iterator[str]:
    linked = {resolve(INDEX, found["inline"] or "") for found in LINK.finditer(tree.page(INDEX))}
    for page in tree.pages:
        if page.startswith("docs/") and page != INDEX and page not in linked:
            yield f"{INDEX}: no link to {page}"


def check_changelog(tree: Tree, facts: Facts) -> Iterator[str]:
    title = next((one for one in headings(tree.page(CHANGELOG)) if one.split(" ")[0] == facts.version), None)
    if title is None:
        yield f"{CHANGELOG}: no heading for version {facts.version}"
    elif "Security" not in headings(section(tree.page(CHANGELOG), title)):
        yield f"{CHANGELOG}: version {facts.version} has no heading Security"


def check_lengths(tree: Tree, _facts: Facts) -> Iterator[str]:
    for path, text in tree.texts.items():
        lines = text.count("\n")
        if path.endswith(".py") and lines > LONGEST_MODULE:
            yield f"{path}: {lines} lines; {LONGEST_MODULE} is the most"


def check_traces(tree: Tree, _facts: Facts) -> Iterator[str]:
    """Nothing of the machines the project was written on, and no document named that a reader does not have."""
    names = {PurePosixPath(page).name for page in tree.pages}
    for path, text in tree.texts.items():
        if path in SHOWS_FAULTS:
            continue
        for what, pattern in TRACES.items():
            yield from (f"{path}: {what}: {found[0]}" for found in pattern.finditer(text))
        for found in DOCUMENT.finditer(text):
            if PurePosixPath(found[0]).name not in names:
                yield f"{path}: names {found[0]}, which is not there"


CHECKS: tuple[Check, ...] = (
    check_routes,
    check_error_codes,
    check_event_names,
    check_commands,
    check_metrics,
    check_links,
    check_shell_blocks,
    check_code_blocks,
    check_index,
    check_changelog,
    check_lengths,
    check_traces,
)


def find_faults(tree: Tree, facts: Facts) -> list[str]:
    return [fault for check in CHECKS for fault in check(tree, facts)]
