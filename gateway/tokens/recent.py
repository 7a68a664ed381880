"""What was found out lately, by digest: bounded, the oldest forgotten first."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Two generations, so that forgetting is cheap: when the younger is full, the older goes as a whole."""

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, digest: bytes) -> T | None:
        found = self._young.get(digest)
        if found is None and (found := self._old.pop(digest, None)) is not None:
            self.put(digest, found)
        return found

    def put(self, digest: bytes, found: T) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[digest] = found
