"""Swagger UI at /docs, whose "Authorize" signs people in at the gateway; its files come with a package, from no CDN."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

PAGE, FILES = "/docs", "/swagger-ui"
RETURN = f"{PAGE}/oauth2-redirect"  # among the `redirect_uris` of `[apps.docs]`


def add_docs(app: FastAPI, client_id: str) -> None:
    """Where an application may load from a CDN, `FastAPI(swagger_ui_init_oauth=…)` is all of this."""
    app.mount(FILES, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(PAGE, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            title=app.title,
            openapi_url=app.openapi_url or "",
            oauth2_redirect_url=RETURN,
            swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{FILES}/swagger-ui.css",
            swagger_favicon_url=f"{FILES}/favicon.png",
            init_oauth={"clientId": client_id, "usePkceWithAuthorizationCodeGrant": True},
        )

    @app.get(RETURN, include_in_schema=False)
    async def returned() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()
