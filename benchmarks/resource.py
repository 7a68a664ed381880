"""The command: `python -m benchmarks.resource`. What checking a token costs an API, in ratios.

Everything is measured in one process without the network, in CPU time and in short turns, so that whatever else the
machine does meets all.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Annotated, Any

import httpx2
from fastapi import FastAPI, Security
from fastapi.requests import HTTPConnection
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from gateway.resource import Verifier, requirement
from gateway.resource.fastapi import Caller, Protection

ROUNDS = 15
AT_LEAST = (50, 0.9)  # marks that are to be passed; the others are the most it may be
NEW = 200  # tokens of a batch that nobody has seen
ASKED = 200  # requests in a row
ISSUER, API = "https://login.example.com", "https://api.example.com"
KEY = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})
REGISTRY = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": API},
    exp={"essential": True},
    sub={"essential": True},
)


def make_token(number: int) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {"iss": ISSUER, "aud": API, "sub": "5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0001"}
    claims |= {"client_id": "gateway", "iat": now, "exp": now + 3000, "jti": f"token-{number}", "auth_time": now}
    claims |= {"sid": "5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0002", "idp": "google", "scope": "openid orders:read"}
    return jwt.encode({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, claims | {"roles": ["staff"]}, KEY)


def published(request: httpx2.Request) -> httpx2.Response:
    if request.url.path.endswith("/keys"):
        return httpx2.Response(200, json={"keys": [KEY.as_dict(private=False)]})
    return httpx2.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})


def verifier() -> Verifier:
    made = Verifier(ISSUER, API, transport=httpx2.MockTransport(published), cache_size=1_000_000)
    made.verify_sync(make_token(-1))
    return made


def seconds_each(work: Callable[[], int]) -> float:
    began = time.process_time()
    units = work()
    return (time.process_time() - began) / units


def compare(name: str, works: dict[str, Callable[[], int]], over: str, under: str, mark: float) -> bool:
    """Prints what each costs and the median of `over` to `under`."""
    rounds = [{what: seconds_each(work) for what, work in works.items()} for _ in range(ROUNDS)]
    ratio = median(one[over] / one[under] for one in rounds)
    return show(name, ratio, mark, {what: median(one[what] for one in rounds) for what in works})


def show(name: str, ratio: float, mark: float, costs: dict[str, float]) -> bool:
    met = ratio >= mark if mark in AT_LEAST else ratio <= mark
    told = ", ".join(f"{what} {seconds * 1e6:.1f} µs" for what, seconds in costs.items())
    print(f"{name:<46}{ratio:>8.2f}  {mark:g} {'met' if met else 'missed':<7} {told}", flush=True)
    return met


def seen_before() -> bool:
    checking, token, keys = verifier(), make_token(0), KeySet([KEY])
    checking.verify_sync(token)

    def seen() -> int:
        for _ in range(20_000):
            checking.verify_sync(token)
        return 20_000

    def signature() -> int:
        for _ in range(400):
            jwt.decode(token, keys, algorithms=["ES256"])
        return 400

    works = {"seen": seen, "its signature": signature}
    return compare("a token seen before, times its signature", works, "its signature", "seen", 50)


def never_seen() -> bool:
    checking, keys, numbers = verifier(), KeySet([KEY]), iter(range(1, 10**9))

    def batch() -> list[str]:
        return [make_token(next(numbers)) for _ in range(NEW)]

    batches = {"new": [batch() for _ in range(ROUNDS)], "joserfc": [batch() for _ in range(ROUNDS)]}

    def new() -> int:
        for token in batches["new"].pop():
            checking.verify_sync(token)
        return NEW

    def alone() -> int:
        for token in batches["joserfc"].pop():
            REGISTRY.validate(jwt.decode(token, keys, algorithms=["ES256"]).claims)
        return NEW

    works = {"new": new, "joserfc": alone}
    return compare("a new token, speed beside joserfc", works, "joserfc", "new", 0.9)


def fastapi_apps() -> dict[str, FastAPI]:
    """One route each, since a later one takes longer to find: without a dependency, with one of our kind that does
    nothing, with ours."""
    protection = Protection(verifier())
    ours = protection.require(scope="orders:read")
    idle = Security(Idle(protection, requirement()), scopes=ours.scopes)
    apps = {name: FastAPI() for name in ("bare", "idle", "protected")}

    @apps["bare"].get("/")
    async def bare() -> dict[str, str]:
        return {"answer": "ok"}

    for name, dependency in (("idle", idle), ("protected", ours)):

        async def answer(_caller: Any) -> dict[str, str]:
            return {"answer": "ok"}

        answer.__annotations__["_caller"] = Annotated[Any, dependency]
        apps[name].get("/")(answer)
    return apps


class Idle(Caller):
    async def __call__(self, connection: HTTPConnection) -> Any: ...


async def ask(app: FastAPI, headers: list[tuple[bytes, bytes]]) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"answered {message['status']}")

    for _ in range(ASKED):
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/"}
        scope |= {"query_string": b"", "headers": headers, "scheme": "http", "http_version": "1.1", "root_path": ""}
        await app(scope, receive, send)


def in_fastapi() -> bool:
    """Without a server around it, which would make every ratio smaller."""
    headers = [(b"host", b"api.example.com"), (b"authorization", f"Bearer {make_token(0)}".encode())]

    def work(app: FastAPI) -> Callable[[], int]:
        def run() -> int:
            asyncio.run(ask(app, headers))
            return ASKED

        return run

    works = {name: work(app) for name, app in fastapi_apps().items()}
    compare("FastAPI's dependency, idle, times a bare route", works, "idle", "bare", 1.15)
    return compare("FastAPI's dependency, times a bare route", works, "protected", "bare", 1.15)


def main() -> int:
    argparse.ArgumentParser("benchmarks.resource", description=__doc__).parse_args()
    met = [seen_before(), never_seen(), in_fastapi()]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
