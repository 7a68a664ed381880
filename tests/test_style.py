"""The static files: named by their content, loading nothing foreign, in colours that can be read."""

from __future__ import annotations

import hashlib
import re
from xml.etree.ElementTree import fromstring

import pytest

from gateway.web.pages import Pages

FILES = Pages(title="login.example.com", base="").static_files


def test_static_file_names_change_with_their_content() -> None:
    for name, file in FILES.items():
        assert name.split(".")[1] == hashlib.sha256(file.content).hexdigest()[:12]


STYLE = next(file.content.decode() for name, file in FILES.items() if name.endswith(".css"))


def test_style_sheet_loads_only_files_of_ours() -> None:
    loaded = re.findall(r'url\("?([^")]*)', STYLE)
    assert loaded
    assert set(loaded) <= set(FILES)
    assert "@import" not in STYLE


def test_style_sheet_stays_small() -> None:
    assert len(STYLE) < 14_500


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".svg")])
def test_pictures_are_nothing_but_pictures(name: str) -> None:
    elements = list(fromstring(FILES[name].content).iter())  # noqa: S314  our own file
    assert {element.tag.rpartition("}")[2] for element in elements} <= {"svg", "rect", "path", "circle"}
    assert not [key for element in elements for key in element.attrib if key in {"style", "href"} or key[:2] == "on"]


def palette(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


LIGHT, DARK = (palette(block) for block in re.findall(r":root \{(.*?)\n *\}", STYLE, re.DOTALL))
TEXT_ON_GROUND = [
    *((ink, ground) for ink in ("ink", "muted", "accent") for ground in ("canvas", "glow", "surface", "sunken")),
    *(("accent-strong", ground) for ground in ("canvas", "surface")),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("good", "good-wash"),
    ("grave", "surface"),
    ("grave", "sunken"),
    ("google-ink", "google"),
    ("google-ink", "google-hover"),
    ("microsoft-ink", "microsoft"),
    ("microsoft-ink", "microsoft-hover"),
]
EDGE_ON_GROUND = [
    ("edge", "surface"),
    ("google-edge", "surface"),
    ("microsoft-edge", "surface"),
    ("accent", "canvas"),
    ("grave", "surface"),
]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of `#rrggbb`."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_can_be_read(scheme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGE_ON_GROUND)
def test_edges_can_be_seen(scheme: dict[str, str], edge: str, ground: str) -> None:
    assert contrast(scheme[edge], scheme[ground]) >= 3


def test_both_schemes_define_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
