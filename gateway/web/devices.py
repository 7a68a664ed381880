"""Devices: what a user agent says about itself, in the words a person would use."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

# Order matters: most browsers claim to be the ones below them as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Version/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
)
_HANDHELD = {"iPhone", "iPad", "Android"}
_PRODUCT = re.compile(r"([A-Za-z][A-Za-z0-9._-]{0,39})/")


class Device(NamedTuple):
    name: str
    kind: Literal["computer", "phone", "program"]


def read_device(user_agent: str) -> Device:
    """Name the browser and the system; a guess for a person to recognise, never a proof of anything."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return Device(f"{browser} on {system}", "phone" if system in _HANDHELD else "computer")
    if browser:
        return Device(browser, "computer")
    if system:
        return Device(f"App on {system}", "phone" if system in _HANDHELD else "program")
    return Device(_product(user_agent) or "Unknown device", "program")


def _first(table: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for mark, name in table if mark in user_agent), None)


def _product(user_agent: str) -> str | None:
    found = _PRODUCT.match(user_agent)
    return found[1] if found and found[1] != "Mozilla" else None
