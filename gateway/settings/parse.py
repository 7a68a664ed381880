"""Values: from what the file, the environment or a flag holds to what the gateway works with.

A parser takes a TOML value or, from the environment, text; it returns the value or raises `Unfit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Parser = Callable[[object], Any]

DURATION = re.compile(r"([0-9]{1,10})\s*([smhdw]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = 10 * 365 * 86400  # seconds; what is longer is a slip of the pen
TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
USERINFO = re.compile(r"//[^/\s]*@")


class Unfit(Exception):
    """A value that cannot be used. `seen` stands for it in the report; `also` holds further ones."""

    def __init__(self, hint: str, seen: str | None = None, also: Sequence[Unfit] = ()) -> None:
        super().__init__(hint)
        self.hint, self.seen, self.also = hint, seen, tuple(also)


def describe(value: object) -> str:
    """What was seen, for a report: short, of one line, without the user and password of an address."""
    match value:
        case "":
            return "empty"
        case str():
            shown = USERINFO.sub("//***@", value)
            shown = shown if len(shown) <= 80 else shown[:77] + "..."
            return '"' + CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", shown) + '"'
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else describe_integer(value)
        case Mapping():
            return "a table"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def describe_integer(value: int) -> str:
    return str(value) if value.bit_length() <= 64 else "a very large number"


def suggest(word: str, known: Iterable[str]) -> str:
    """' Did you mean "x"?', or nothing when nothing is near."""
    from difflib import get_close_matches  # only a fault needs it

    spelled = {name.lower(): name for name in known}
    near = get_close_matches(word.lower()[:80], list(spelled), n=1, cutoff=0.6)
    return f' Did you mean "{spelled[near[0]]}"?' if near else ""


def text(value: object) -> str:
    """Text of one line, white space around it removed."""
    if not isinstance(value, str):
        raise Unfit("Write it as text, in quotes.")
    if CONTROL.search(value.strip()):
        raise Unfit("Remove the line break or control character.")
    if not value.strip():
        raise Unfit("Write something here, or leave the key out.")
    return value.strip()


def possibly_empty(value: object) -> str:
    """Text that may be empty: whether it may stay so is decided where the other keys are known."""
    return text(value) if value != "" and not (isinstance(value, str) and value.isspace()) else ""


def verbatim(value: object) -> str:
    """Text exactly as given, possibly empty: for secrets."""
    if not isinstance(value, str):
        raise Unfit("Write it as text, in quotes.")
    return value


def flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in TRUE | FALSE:
        return word in TRUE
    raise Unfit("Write true or false.")


def duration(shortest: int = 0, longest: int = LONGEST) -> Parser:
    """Whole seconds, given as a number or with a unit."""

    def parse(value: object) -> int:
        seconds = in_seconds(value)
        if not shortest <= seconds <= longest:
            raise Unfit(f"Choose between {shortest} and {longest} seconds.")
        return seconds

    return parse


def in_seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise Unfit('Write whole seconds, or a number with s, m, h, d or w: 900, "15m", "14d".')
    return int(found[1]) * SECONDS[found[2]]


def choice(*options: str) -> Parser:
    def parse(value: object) -> str:
        word = text(value)
        if word not in options:
            raise Unfit(f"Choose one of {', '.join(options)}.{suggest(word, options)}")
        return word

    return parse


def items_of(value: object) -> list[object]:
    """The items of a list; text is taken as a comma-separated one."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise Unfit('Write a list: ["one", "two"].')


def listing(parse_item: Parser, *, at_least: int = 0) -> Parser:
    """A list without doubles, in the order given. Every unfit item is reported."""

    def parse(value: object) -> tuple[Any, ...]:
        good: dict[Any, None] = {}
        unfit: list[Unfit] = []
        for item in items_of(value):
            try:
                good[parse_item(item)] = None
            except Unfit as fault:
                unfit.append(Unfit(fault.hint, fault.seen or describe(item)))
        if unfit:
            raise Unfit(unfit[0].hint, unfit[0].seen, unfit[1:])
        if len(good) < at_least:
            raise Unfit("Name at least one, or leave the key out.", "empty")
        return tuple(good)

    return parse


def matching(pattern: str, hint: str, *, lower: bool = False) -> Parser:
    """Text of a given form."""
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        found = text(value).lower() if lower else text(value)
        if not compiled.fullmatch(found):
            raise Unfit(hint)
        return found

    return parse


def either(words: Sequence[str], otherwise: Parser) -> Parser:
    """One of a few words, or what the other parser takes."""

    def parse(value: object) -> Any:
        if isinstance(value, str) and value.strip() in words:
            return value.strip()
        try:
            return otherwise(value)
        except Unfit as fault:
            near = suggest(value, words) if isinstance(value, str) else ""
            raise Unfit(f"{fault.hint}{near}", fault.seen, fault.also) from None

    return parse


def parameters(forbidden: frozenset[str]) -> Parser:
    """A table of fixed request parameters; from the environment `name=value,name=value`."""

    def parse(value: object) -> dict[str, str]:
        pairs = value.items() if isinstance(value, Mapping) else [split_pair(item) for item in items_of(value)]
        return {parameter_name(name, forbidden): parameter_value(name, given) for name, given in pairs}

    return parse


def split_pair(item: object) -> tuple[str, str]:
    name, equals, value = text(item).partition("=")
    if not equals:
        raise Unfit('Write a table: { prompt = "select_account" }.')
    return name.strip(), value.strip()


def parameter_name(name: str, forbidden: frozenset[str]) -> str:
    if name in forbidden:
        raise Unfit(f'Leave "{name}" out: the gateway sets it itself.', describe(name))
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name):
        raise Unfit("A parameter's name is made of letters, digits and _ . : -", describe(name))
    return name


def parameter_value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return describe_integer(value)
    if not isinstance(value, str):
        raise Unfit(f'Write the value of "{name}" as text, in quotes.', describe(value))
    return value
