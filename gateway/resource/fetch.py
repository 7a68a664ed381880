"""GET of a JSON document: https only (plain on loopback), no redirects, an end to its size and its time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

TIME_LIMIT = 5.0  # seconds for a whole document
TIMEOUT = httpx2.Timeout(3.0, connect=2.0)  # seconds, per operation
LARGEST = 512 * 1024  # bytes
HEADERS = {"User-Agent": "login-gateway-resource", "Accept": "application/json", "Accept-Encoding": "identity"}
GOOD, UNCHANGED = 200, 304


class FetchFailed(Exception):
    """Says what went wrong, without anything that was sent."""


class Web:
    """The way out. `transport` replaces the network, for tests."""

    def __init__(self, transport: httpx2.BaseTransport | None = None) -> None:
        self._transport = transport

    def client(self, url: str) -> httpx2.Client:
        """For this address alone. Proxies of the environment count, except to loopback."""
        return httpx2.Client(
            transport=self._transport,
            timeout=TIMEOUT,
            trust_env=not is_loopback(urlsplit(url).hostname or ""),
            follow_redirects=False,
            headers=HEADERS,
        )

    def document(self, url: str) -> dict[str, Any]:
        """A JSON object. FetchFailed."""
        with self.client(url) as client:
            status, _, body = get(client, url, {})
        if status != GOOD:
            raise FetchFailed(f"{url} answered {status}")
        return read_object(url, body)


def get(
    client: httpx2.Client, url: str, headers: Mapping[str, str], largest: int = LARGEST
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body. FetchFailed where there is no answer, or one that is too large or too slow."""
    if not is_fetchable(url, plain=True):
        raise FetchFailed("only https is asked, or http on loopback")
    until = time.monotonic() + TIME_LIMIT
    body = bytearray()
    try:
        with client.stream("GET", url, headers=dict(headers)) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed(f"{url} answers compressed, though that was not asked for")
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > largest or time.monotonic() > until:
                    raise FetchFailed(f"{url} answers with too much, or too slowly")
            return answer.status_code, answer.headers, bytes(body)
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError, OSError) as error:
        raise FetchFailed(f"{url} cannot be reached: {type(error).__name__}") from error


def read_object(url: str, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{url} did not answer with JSON") from error
    if not isinstance(value, dict):
        raise FetchFailed(f"{url} did not answer with a JSON object")
    return value


def is_fetchable(url: object, *, plain: bool) -> bool:
    """Whether it is an https URL; `plain`: or http on loopback."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.fragment or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
