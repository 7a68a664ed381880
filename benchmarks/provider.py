"""The stand-in Google of the sign-ins, in a process of its own: as many people as there are clients."""

from __future__ import annotations

import sys

import uvicorn

from gateway.testing import Client, Google
from gateway.testing.google import person

CLIENT_ID, SECRET = "benchmark", "an-obviously-fake-secret"


def address_of(number: int) -> str:
    return f"person{number}@example.com"


def stand_in(port: int, gateway_urls: list[str], people: int) -> Google:
    redirects = tuple(f"{url}/auth/google/callback" for url in gateway_urls)
    return Google(
        base_url=f"http://127.0.0.1:{port}",
        clients=[Client(CLIENT_ID, SECRET, redirects)],
        people=[person(f"Person {number}", address_of(number)) for number in range(people)],
        automatic=True,
    )


if __name__ == "__main__":
    provider = stand_in(int(sys.argv[1]), sys.argv[3:], int(sys.argv[2]))
    uvicorn.run(
        provider.app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )
