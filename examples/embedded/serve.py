"""The guest book with the gateway in it, and stand-ins for Google and Microsoft."""

from __future__ import annotations

import argparse

from app import make_app

from gateway.demo import stage

HOSTS = {"role": "host", "emails": ["ada@example.com"]}


def run(port: int) -> None:
    with stage(port) as here:
        (site,) = here.urls
        here.play([make_app(here.settings(f"{site}/sso", roles=[HOSTS]))], f"\n  The guest book: {site}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    run(parser.parse_args().port)
