"""Orders: people call it with scopes and roles, a warehouse calls it as itself; every route says whom it lets in."""

from collections import defaultdict
from typing import Annotated

from fastapi import Body, FastAPI

from gateway.resource import Principal, Verifier
from gateway.resource.fastapi import Protection

Item = Annotated[str, Body(embed=True, min_length=1, max_length=80)]
Count = Annotated[int, Body(embed=True, ge=0, le=10_000)]
SCOPES = {"orders:read": "Read your orders", "orders:write": "Place orders"}


def make_api(issuer: str, audience: str) -> FastAPI:
    """`issuer`: the gateway's `public_url`. `audience`: what tokens for this API name, as `[apps.*]` has it."""
    app = FastAPI(title="Orders", docs_url=None, redoc_url=None)  # docs_page.py has them, without anybody else's server
    protection = Protection(Verifier(issuer, audience=audience), scopes=SCOPES)
    reader = protection.require(scope="orders:read")
    buyer = protection.require(scope="orders:write")
    manager = protection.require(scope="orders:write", role="manager")
    warehouse = protection.require(app_role="stock:write")
    either = protection.require(any_of=[{"scope": "orders:read"}, {"app_role": "stock:write"}])
    orders: dict[str, list[str]] = defaultdict(list)
    stock: dict[str, int] = {}

    @app.get("/orders")
    async def read_orders(caller: Annotated[Principal, reader]) -> list[str]:
        """A person's own orders."""
        return orders[caller.subject]

    @app.post("/orders", status_code=201)
    async def place_order(caller: Annotated[Principal, buyer], item: Item) -> list[str]:
        """Needs another scope."""
        orders[caller.subject].append(item)
        return orders[caller.subject]

    @app.delete("/orders", status_code=204, dependencies=[manager])
    async def clear_orders() -> None:
        """Everybody's: for managers."""
        orders.clear()

    @app.get("/stock", dependencies=[either])
    async def read_stock() -> dict[str, int]:
        """For people and for the warehouse."""
        return stock

    @app.put("/stock/{item}", status_code=204, dependencies=[warehouse])
    async def fill_stock(item: str, count: Count) -> None:
        """For the warehouse alone, a program: no person has its scope."""
        stock[item] = count

    return app
