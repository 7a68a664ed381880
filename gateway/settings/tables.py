"""One table while it is read: what was given for it, what that came to, and every fault found on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import Fault

from .keys import GATEWAY, PROVIDER, Key
from .parse import Unfit, describe, suggest
from .read import Given, fill


class Table:
    """`values` holds what is sound: a key with a fault is left out, so that no second one follows from it."""

    def __init__(self, name: str, where: str, given: Mapping[str, Given]) -> None:
        self.name, self.where, self.given = name, where, given
        self.values: dict[str, Any] = {}
        self.faults: list[Fault] = []

    def parse(self, keys: Mapping[str, Key], environ: Mapping[str, str]) -> None:
        for name, given in self.given.items():
            if name in keys:
                self._take(keys[name], given, environ)
            else:
                # The value stays unseen: under a misspelt name it may well be a secret.
                self.fault(name, "unknown key", self._unknown(name, keys))

    def _take(self, key: Key, given: Given, environ: Mapping[str, str]) -> None:
        value = given.value
        try:
            value = given.value if given.literal else fill(given.value, environ)
            if value != given.value and isinstance(value, str) and not value.strip():
                return  # what comes out empty counts as not given
            parsed = key.parse(value)
        except Unfit as unfit:
            for each in (unfit, *unfit.also):
                self.fault(key.name, each.seen or ("not shown" if key.secret else describe(value)), each.hint)
        else:
            self.values[key.name] = str(given.folder / parsed) if key.path else parsed

    def _unknown(self, name: str, keys: Mapping[str, Key]) -> str:
        if near := suggest(name, keys):
            return near.strip()
        for other, title in ((GATEWAY, "[gateway]"), (PROVIDER, "[providers.<name>]")):
            if name in other and other is not keys:
                return f"It belongs under {title}."
        return "No key is called so here; docs/configuration.md lists them all."

    def fault(self, key: str, seen: str, hint: str) -> None:
        given = self.given.get(key)
        self.faults.append(Fault(given.where if given else self.where, self.name, describe_key(key), seen, hint))

    def sound(self, *keys: str) -> bool:
        """Whether none of these keys has a fault."""
        return not any(fault.key in keys for fault in self.faults)


def describe_key(key: str) -> str:
    """A key as it may be printed: keys in quotes can hold anything."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{0,80}", key) else describe(key)
