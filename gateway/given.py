"""Given rows: what many requests bring, as one table within one statement.

PostgreSQL takes an array for each column, SQLite a JSON text for all; `Records` are a JSON text on PostgreSQL, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, JSON, BigInteger, FromClause, Text, bindparam, cast, column, func, select, type_coerce
from sqlalchemy.types import TypeEngine


class Given:
    """A table of these columns that a statement brings with it. `name` tells it from others in the statement."""

    def __init__(self, name: str, **columns: type[TypeEngine[Any]]) -> None:
        self._name = name
        self._columns = columns

    def table(self, dialect: str) -> FromClause:
        return self._from_json() if dialect == "sqlite" else self._from_arrays()

    def parameters(self, dialect: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        if dialect == "sqlite":
            return {self._name: json.dumps(rows, default=lambda value: value.hex)}
        return {f"{self._name}_{name}": [row[place] for row in rows] for place, name in enumerate(self._columns)}

    def _from_json(self) -> FromClause:
        each = func.json_each(bindparam(self._name, type_=Text)).table_valued("value")
        return select(
            *(
                type_coerce(func.json_extract(each.c.value, f"$[{place}]"), type_).label(name)
                for place, (name, type_) in enumerate(self._columns.items())
            )
        ).subquery(self._name)

    def _from_arrays(self) -> FromClause:
        arrays = (bindparam(f"{self._name}_{name}", type_=ARRAY(type_)) for name, type_ in self._columns.items())
        columns = (column(name, type_) for name, type_ in self._columns.items())
        return func.unnest(*arrays).table_valued(*columns).render_derived(self._name)


class Records:
    """A table of many columns, on PostgreSQL: there one JSON text costs this process less than half of what an array
    for each does."""

    def __init__(self, name: str, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self._name = name
        self._count = f"{name}_count"
        self._columns = columns

    def table(self) -> FromClause:
        every = func.json_to_recordset(cast(bindparam(self._name, type_=Text), JSON))
        columns = (column(name, type_) for name, type_ in self._columns.items())
        rows = every.table_valued(*columns).render_derived(f"{self._name}_row", with_types=True)
        # The limit leaves nothing out: a planner takes every such function for a hundred rows, and this for what it is.
        return select(rows).limit(bindparam(self._count, type_=BigInteger)).subquery(self._name)

    def parameters(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {self._name: json.dumps(rows, default=as_text), self._count: len(rows)}


def as_text(value: Any) -> str:
    """What PostgreSQL reads as bytes, or as an id."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
