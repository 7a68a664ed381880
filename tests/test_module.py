"""gateway.js as it is served: small, made from its source, for any page, with types that TypeScript accepts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import node
from harness import World

MODULE = Path(__file__).parents[1] / "gateway" / "web" / "module"
LARGEST = 3_000  # bytes as served, not compressed

# How TypeScript's users call it: everything there is, as it is meant.
USE = """
import { createGateway, type User } from "./gateway.js";
const gateway = createGateway({ clientId: "page", apis: ["https://api.example.com"] });
let name: string | undefined;
const stop: () => void = gateway.onChange((user: User | undefined, error) => {
  name = user?.name;
  if (error === "access_denied") stop();
});
const token: string | undefined = await gateway.getToken();
const answer: Response = await gateway.fetch("/orders", { method: "POST" });
await gateway.signIn({ provider: "google", prompt: "none", url: "/orders" });
await gateway.signOut();
export { answer, name, token };
// @ts-expect-error  there is no application without an id
createGateway({});
// @ts-expect-error  no such prompt
gateway.signIn({ prompt: "always" });
"""


@pytest.fixture
def client(lasting_sqlite_world: World) -> Iterator[httpx2.Client]:
    with lasting_sqlite_world.gateway.browser() as client:
        yield client


def test_it_is_at_most_three_kibibytes(client: httpx2.Client) -> None:
    assert len(client.get("/auth/gateway.js").content) <= LARGEST


def test_any_page_may_import_it(client: httpx2.Client) -> None:
    answer = client.get("/auth/gateway.js", headers={"Origin": "https://shop.example.com"})
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_its_types_are_beside_it(client: httpx2.Client) -> None:
    answer = client.get("/auth/gateway.d.ts")
    assert answer.content == (MODULE / "gateway.d.ts").read_bytes()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_it_loads_nothing_else() -> None:
    source = (MODULE / "gateway.js").read_text()
    assert not [line for line in source.splitlines() if line.startswith("import ") or "import(" in line]


def test_what_is_served_is_made_from_the_source(tmp_path: Path) -> None:
    terser = node.package("terser") / "bin" / "terser"
    made = tmp_path / "gateway.min.js"
    options = [word for word in minify_options() if word not in ("--output", "gateway.min.js")]
    ended = node.run(str(terser), *options, "--output", str(made), "--", str(MODULE / "gateway.js"))
    assert ended.returncode == 0, ended.stderr
    assert made.read_bytes() == (MODULE / "gateway.min.js").read_bytes(), "run scripts/minify"


def minify_options() -> list[str]:
    """The options of terser in scripts/minify."""
    script = (MODULE.parents[2] / "scripts" / "minify").read_text()
    return script.partition("bin/terser ")[2].replace("\\\n", " ").partition(" -- ")[0].split()


def test_typescript_accepts_its_types_and_refuses_mistakes(tmp_path: Path) -> None:
    compiler = node.package("typescript") / "bin" / "tsc"
    (tmp_path / "gateway.d.ts").write_bytes((MODULE / "gateway.d.ts").read_bytes())
    (tmp_path / "use.ts").write_text(USE)
    options = ("--strict", "--noEmit", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022")
    ended = node.run(str(compiler), *options, "--lib", "es2022,dom", str(tmp_path / "use.ts"))
    assert ended.returncode == 0, ended.stdout
