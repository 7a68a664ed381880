"""The plugin as somebody's project meets it: its tests run in a pytest of their own, with nothing but the package."""

from __future__ import annotations

import re

import pytest

from documents import ROOT

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def gateway_config():
    return {
        "gateway": {"signup": "domains", "signup_domains": ["example.com"]},
        "apps.shop": {"type": "spa", "redirect_uris": ["http://localhost:3000/"], "label": "Café 🛒"},
        "roles": [{"role": "staff", "emails": ["ada@example.com"]}],
    }
"""
TESTS = """
import pytest

from gateway.resource import Verifier
from gateway.testing import Behaviour, SignInRefused


def test_somebody_signs_in(gateway_server, google):
    browser = gateway_server.sign_in("google", google.newcomer("Ada", "ada@example.com"))
    assert browser.get("/auth/me").json()["name"] == "Ada"
    principal = Verifier(gateway_server.url).verify_sync(browser.cookies["gateway"])
    assert principal.roles == {"staff"}


def test_the_configuration(gateway_server, microsoft):
    with pytest.raises(SignInRefused) as refused:
        gateway_server.sign_in("microsoft", microsoft.newcomer("Eve", "eve@example.net"))
    assert (refused.value.status, refused.value.error) == (403, "domain_not_allowed")
    assert "shop" in gateway_server.run("apps", "list")


def test_what_a_test_changes(gateway_server, google):
    eve = google.newcomer("Eve", "eve@example.com")
    google.behaviour = Behaviour(id_token=lambda claims: claims | {"iss": "https://evil.example"})
    with pytest.raises(SignInRefused, match="invalid_id_token"):
        gateway_server.sign_in("google", eve)


def test_is_undone(gateway_server, google):
    assert "Eve" not in {person.name for person in google.people}
    assert not google.calls
    gateway_server.sign_in()


def test_nothing_is_left(gateway_server):
    import pathlib
    pathlib.Path("url").write_text(gateway_server.url)
"""


def test_a_project_that_uses_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=5)
    import httpx2

    with pytest.raises(httpx2.ConnectError):
        httpx2.get((pytester.path / "url").read_text(), trust_env=False)


def test_a_project_that_does_not_pays_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_light():
            assert "gateway.pytest_plugin" in sys.modules
            assert not {"starlette", "sqlalchemy", "joserfc", "httpx2"} & set(sys.modules)
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_gateway_that_cannot_start_says_why(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.replace('"domains"', '"sometimes"'))
    pytester.makepyfile("def test_it(gateway_server): pass")
    outcome = pytester.runpytest_subprocess()
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*RuntimeError: the gateway did not start:*", "*signup*"])


def test_what_the_documents_show(pytester: pytest.Pytester) -> None:
    """The blocks of docs/testing.md by the names in their first lines; the two conftest.py are one."""
    blocks = re.findall(
        r"```python\n# (\w+)\.py[^\n]*\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL
    )
    files: dict[str, str] = {}
    for name, text in blocks:
        files[name] = files.get(name, "") + text
    assert set(files) == {"api", "conftest", "test_api", "test_sign_in"}
    pytester.makepyfile(**files)
    pytester.runpytest_subprocess().assert_outcomes(passed=3)
