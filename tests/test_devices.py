"""What the account page calls a device, as a table of real user agents."""

from __future__ import annotations

import pytest

from gateway.web.devices import Device, read_device

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K)"

DEVICES = [
    (f"{WINDOWS}; rv:135.0) Gecko/20100101 Firefox/135.0", "Firefox on Windows", "computer"),
    (f"{WINDOWS}) {BLINK} Safari/537.36 Edg/133.0.0.0", "Edge on Windows", "computer"),
    (f"{WINDOWS}) {BLINK} Safari/537.36 OPR/117.0.0.0", "Opera on Windows", "computer"),
    (f"{WINDOWS}) {BLINK} Safari/537.36 Vivaldi/7.1", "Vivaldi on Windows", "computer"),
    (f"{WINDOWS}; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows", "computer"),
    (f"{MAC} {WEBKIT} Version/18.2 Safari/605.1.15", "Safari on Mac", "computer"),
    (f"{MAC} {BLINK} Safari/537.36", "Chrome on Mac", "computer"),
    (f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} Safari/537.36", "Chrome on Linux", "computer"),
    (
        f"Mozilla/5.0 (X11; Linux x86_64) {BLINK.replace('Chrome', 'HeadlessChrome')}",
        "Chrome on Linux",
        "computer",
    ),
    (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Safari/537.36", "Chrome on ChromeOS", "computer"),
    (
        "Mozilla/5.0 (X11; FreeBSD amd64; rv:135.0) Gecko/20100101 Firefox/135.0",
        "Firefox on FreeBSD",
        "computer",
    ),
    (f"{IPHONE} {WEBKIT} Version/18.2 Mobile/15E148 Safari/604.1", "Safari on iPhone", "phone"),
    (f"{IPHONE} {WEBKIT} CriOS/133.0.6943.33 Mobile/15E148 Safari/604.1", "Chrome on iPhone", "phone"),
    (f"{IPHONE} {WEBKIT} FxiOS/135.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone", "phone"),
    (f"{IPHONE} {WEBKIT} EdgiOS/133.0 Version/18.0 Mobile/15E148 Safari/604.1", "Edge on iPhone", "phone"),
    (
        f"Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) {WEBKIT} Version/12.1.2 Safari/604.1",
        "Safari on iPad",
        "phone",
    ),
    (f"{ANDROID} {BLINK} Mobile Safari/537.36", "Chrome on Android", "phone"),
    (
        f"{ANDROID} AppleWebKit/537.36 SamsungBrowser/27.0 Chrome/125.0.0.0",
        "Samsung Internet on Android",
        "phone",
    ),
    ("Mozilla/5.0 (Android 14; Mobile; rv:135.0) Gecko/135.0 Firefox/135.0", "Firefox on Android", "phone"),
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)", "App on Android", "phone"),
    ("Java/21 (Linux)", "App on Linux", "program"),
    ("Firefox/135.0", "Firefox", "computer"),
    ("curl/8.5.0", "curl", "program"),
    ("python-httpx/0.28.1", "python-httpx", "program"),
    ("Mozilla/5.0 (compatible; Something/1.0)", "Unknown device", "program"),
    ("<script>alert(1)</script>", "Unknown device", "program"),
    ("", "Unknown device", "program"),
]


@pytest.mark.parametrize(("user_agent", "name", "kind"), DEVICES, ids=[name for _, name, _ in DEVICES])
def test_names_browser_and_system(user_agent: str, name: str, kind: str) -> None:
    assert read_device(user_agent) == Device(name, kind)  # type: ignore[arg-type]  # the table holds plain strings
