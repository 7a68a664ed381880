"""Secrets that live in files: one that follows its file, and the keys kept beside a SQLite database."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from .parse import Unfit

SHORTEST_KEY = 32  # bytes
LARGEST_FILE = 65536  # bytes; what is larger is not a secret
PLACEHOLDER = re.compile(
    r"change[ _-]?me|replace[ _-]?me|your[ _-](secret|key)|insert[ _-]|placeholder|<", re.IGNORECASE
)
MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes one."


def secret_key(value: object) -> bytes:
    """One of `secret_keys`: its UTF-8 bytes, at least 32. A refused one is reported by its length alone."""
    if not isinstance(value, str):
        raise Unfit("Write each key as text, in quotes.", "not text")
    key = value.strip()
    if PLACEHOLDER.match(key):
        raise Unfit(f"Put a real key in place of the placeholder. {MAKE_ONE}", "a placeholder")
    encoded = key.encode("utf-8", "replace")
    if len(encoded) < SHORTEST_KEY:
        raise Unfit(f"A key has at least {SHORTEST_KEY} bytes. {MAKE_ONE}", f"{len(encoded)} bytes")
    return encoded


def secret_hash(value: object) -> bytes:
    """The SHA-256 of an application's secret, as `gateway apps new-secret` prints it: sha256: and 64 hex digits."""
    found = re.fullmatch(r"sha256:([0-9a-f]{64})", value.strip()) if isinstance(value, str) else None
    if found is None:
        raise Unfit("Write sha256: and 64 hex digits; `gateway apps new-secret` prints secret and hash.", "no hash")
    return bytes.fromhex(found[1])


def read_small(path: Path) -> str:
    """A small regular file as text. OSError or ValueError when it is not one."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not hold us up
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    return content.decode("utf-8-sig")


def explain(fault: OSError | ValueError) -> str:
    """Why a file could not be read, without its content."""
    if isinstance(fault, OSError):
        return (fault.strerror or "cannot be read").lower()
    return "not UTF-8 text" if isinstance(fault, UnicodeError) else str(fault)


class FileSecret:
    """The text of a file without its trailing newline, read again when the file changes.

    A file that vanishes, empties or cannot be read leaves the last good value in force. The first reading
    raises OSError or ValueError instead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = self._look()
        self._value = self._read()

    def _look(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> str:
        value = read_small(self._path).rstrip("\r\n")
        if not value.strip():
            raise ValueError("empty")
        return value

    def __call__(self) -> str:
        with suppress(OSError, ValueError):
            version = self._look()
            if version != self._version:
                self._value = self._read()
                self._version = version
        return self._value


def keys_file(database: str) -> Path:
    """Where the keys of a SQLite database are kept."""
    return Path(database + ".secret-keys")


def kept_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in the file, newest first, one a line; made now when there is no file.

    Processes that start together agree on one: the file appears complete or not at all, and whoever comes
    second reads what the first wrote. Unfit, OSError or ValueError when the file cannot be used.
    """
    with suppress(FileNotFoundError):
        return keys_in(path)
    make_keys(path)
    return keys_in(path)


def keys_in(path: Path) -> tuple[bytes, ...]:
    lines = [line for line in read_small(path).splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise Unfit("The file holds no key. Restore it, or remove it to have one made.", "empty")
    return tuple(dict.fromkeys(secret_key(line) for line in lines))


def make_keys(path: Path) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".secret-keys")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, path)
        keep_entry(path.parent)
    finally:
        Path(temporary).unlink()


def keep_entry(folder: Path) -> None:
    """Make the folder's new entry survive a power failure: without the key the database is worth nothing."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
