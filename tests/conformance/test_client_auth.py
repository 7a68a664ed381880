"""Each way to authenticate at the token endpoint, against a provider that takes only that one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey
from suite import Conduct, Run, assert_signed_in

from gateway.testing import keys


def asserted(run: Run) -> list[str]:
    return [call.params["client_assertion"] for call in run.standin.called("token")]


@pytest.mark.parametrize("configured", [True, False], ids=["configured", "by discovery"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_oidcc_client_test_with_a_secret(module: Conduct, method: str, configured: bool) -> None:
    table = {"client_auth": method} if configured else {}
    run = module(client={"auth_method": method}, **table)
    assert_signed_in(run, run.sign_in())


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
def test_oidcc_client_test_with_private_key_jwt(module: Conduct, tmp_path: Path, audience: str) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    run = module(
        secret=None,
        client={"auth_method": "private_key_jwt", "keys": (key.as_dict(private=False),), "assertion_alg": "ES256"},
        client_auth="private_key_jwt",
        private_key_file=str(tmp_path / "key.pem"),
        client_assertion_audience=audience,
    )
    assert_signed_in(run, run.sign_in())
    assert run.sign_in().response.status_code == 303
    assert len(set(asserted(run))) == 2


def test_oidcc_client_test_with_a_certificate(module: Conduct, tmp_path: Path) -> None:
    key = keys.rsa()
    certificate = keys.certificate(key).public_bytes(Encoding.PEM)
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    (tmp_path / "certificate.pem").write_bytes(certificate)
    run = module(
        secret=None,
        client={"auth_method": "private_key_jwt", "certificate": certificate.decode(), "assertion_alg": "PS256"},
        client_auth="private_key_jwt",
        private_key_file=str(tmp_path / "key.pem"),
        certificate_file=str(tmp_path / "certificate.pem"),
    )
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_without_a_secret(module: Conduct) -> None:
    run = module(secret=None, client={"auth_method": "none"}, client_auth="none")
    assert_signed_in(run, run.sign_in())
    assert "client_secret" not in run.standin.called("token")[0].params
