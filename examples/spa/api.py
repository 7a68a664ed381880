"""Notes: an API that wants an access token of the gateway, and the page that calls it."""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

from fastapi import Body, FastAPI
from fastapi.staticfiles import StaticFiles

from gateway.resource import Principal, Verifier
from gateway.resource.fastapi import Protection

PAGE = Path(__file__).parent / "page"
Note = Annotated[str, Body(embed=True, min_length=1, max_length=200)]


def make_app(issuer: str, audience: str) -> FastAPI:
    """`issuer`: the gateway's `public_url`. `audience`: what tokens for this API name, as `[apps.notes]` has it."""
    app = FastAPI(title="Notes")
    protection = Protection(Verifier(issuer, audience=audience))
    notes: dict[str, list[str]] = defaultdict(list)
    caller = protection.require(scope="openid")

    @app.get("/config.json")
    async def config() -> dict[str, str]:
        return {"issuer": issuer}

    @app.get("/api/notes")
    async def read(who: Annotated[Principal, caller]) -> list[str]:
        return notes[who.subject]

    @app.post("/api/notes", status_code=201)
    async def write(who: Annotated[Principal, caller], text: Note) -> None:
        notes[who.subject].append(text)

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app
