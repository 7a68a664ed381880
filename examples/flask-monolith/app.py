"""A notice board as one would have written it in 2010: pages from templates, forms, a little AJAX.

There is no sign-in here: no session, no redirect, no token. Who asks stands in the headers that the proxy sets, and
nobody else can reach this program.
"""

from __future__ import annotations

from urllib.parse import unquote

from flask import Flask, abort, redirect, render_template, request
from werkzeug.wrappers import Response

app = Flask(__name__)
notes: list[dict[str, str]] = []


@app.context_processor
def reader() -> dict[str, object]:
    """What the templates know about the person."""
    return {"name": header("Preferred-Username"), "groups": listed("Groups"), "is_editor": "editor" in listed("Roles")}


def header(name: str) -> str:
    return unquote(request.headers.get(f"X-Auth-Request-{name}", ""))


def listed(name: str) -> list[str]:
    values = request.headers.get(f"X-Auth-Request-{name}", "")
    return [unquote(value) for value in values.split(",") if value]


@app.get("/")
def board() -> str:
    return render_template("board.html", notes=notes)


@app.post("/notes")
def pin() -> Response:
    if text := request.form.get("text", "").strip()[:200]:
        notes.append({"text": text, "author": header("Preferred-Username")})
    return redirect("/", 303)


@app.get("/notes.json")
def count() -> dict[str, object]:
    return {"count": len(notes), "reader": header("Preferred-Username")}


@app.post("/clear")
def clear() -> Response:
    if "editor" not in listed("Roles"):
        abort(403)
    notes.clear()
    return redirect("/", 303)
