"""The chart for the documents: every ratio beside its mark, as an SVG that can be read on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

GROUND, INK, RULE, MET, MISSED, PLAIN = "#ffffff", "#1f2328", "#d0d7de", "#1a7f37", "#bc4c00", "#0969da"
DARK = {GROUND: "#0d1117", INK: "#e6edf3", RULE: "#30363d", MET: "#3fb950", MISSED: "#f0883e", PLAIN: "#58a6ff"}
COLOURS = {"met": MET, "late": MISSED, "missed": MISSED, None: PLAIN}
ROW, FRAME = 0.3, 1.1  # inches

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gateway",  # the same measurements, the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": GROUND,
    "axes.edgecolor": RULE,
    "figure.facecolor": GROUND,
    "savefig.facecolor": GROUND,
}


def draw(file: Path, found: Mapping[str, Any]) -> None:
    """Of a run: each path at its most connections. Of growth: each path's rate with large tables to small ones."""
    with mpl.rc_context(STYLE):
        figure = of_growth(found) if found["kind"] == "growth" else of_run(found)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    head, tag, rest = drawn.getvalue().partition("<defs>")
    file.write_text(f"{head}{for_dark_pages()}{tag}{rest}")


def of_run(found: Mapping[str, Any]) -> Figure:
    most: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in found["rows"]:
        most[row["path"], row["beside"]] = row
    names = [path if beside == "bare" else f"{path}\nbeside {beside}" for path, beside in most]
    label = "requests per second, to those of a bare Starlette route or of what is named (logarithmic)"
    return ratios(names, list(most.values()), label)


def of_growth(found: Mapping[str, Any]) -> Figure:
    names = [row["path"] for row in found["rows"]]
    return ratios(names, found["rows"], "requests per second with large tables, to those with small ones (logarithmic)")


def ratios(names: Sequence[str], rows: Sequence[Mapping[str, Any]], label: str) -> Figure:
    places = [sum(1.5 if "\n" in name else 1 for name in names[:number]) for number in range(len(names))]
    figure = Figure(figsize=(9, FRAME + ROW * (places[-1] + 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1, color=RULE, linewidth=1, zorder=0)
    for place, row in zip(places, rows, strict=True):
        ratio, mark, colour = row["ratio"], row["mark"], COLOURS[row["verdict"]]
        if mark is not None:
            axes.plot([ratio, mark], [place, place], color=colour, linewidth=1.5)
            axes.plot(mark, place, marker="|", markersize=11, markeredgewidth=2, color=INK)
        axes.plot(ratio, place, marker="o", markersize=6, color=colour)
        axes.annotate(f"{ratio:.2g}", (ratio, place), (0, 7), textcoords="offset points", ha="center", fontsize=7)
    axes.set(xscale="log", xlabel=label, yticks=places, yticklabels=names, ylim=(places[-1] + 0.8, -0.8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color=RULE, linewidth=0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    figure.legend(handles=legend({row["verdict"] for row in rows}), loc="outside upper center", ncols=5, frameon=False)
    return figure


def legend(verdicts: Set[str | None]) -> list[Line2D]:
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 6}
    shown = [Line2D([], [], color=INK, linestyle="", marker="|", markersize=11, markeredgewidth=2, label="mark")]
    for verdict, colour in COLOURS.items():
        if verdict in verdicts:
            shown.append(Line2D([], [], color=colour, label=verdict or "without a mark", **dot))
    return shown


def for_dark_pages() -> str:
    """Every colour has its other, for where the reader's system is dark."""
    rules = (
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return "<style>@media (prefers-color-scheme: dark) {{\n{}\n}}</style>\n ".format("\n".join(rules))
