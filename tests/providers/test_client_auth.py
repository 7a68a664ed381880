"""Who we say we are at the token endpoint."""

from __future__ import annotations

import datetime
from base64 import b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import ProviderUnavailable
from gateway.providers.client_auth import ASSERTION_TYPE, basic
from gateway.settings import Secret

from .op import CLIENT_ID, NOW, Op, ec, finish, okp, rsa

SECRET = "a:b%+ é"


async def authenticated(op: Op, **given: Any) -> tuple[str | None, dict[str, list[str]]]:
    await finish(op.client(**given))
    call = next(call for call in op.calls if call.url.path == "/token")
    return call.headers.get("Authorization"), op.form()


async def test_client_secret_basic() -> None:
    header, form = await authenticated(Op(), client_secret=Secret(SECRET), client_id=CLIENT_ID)
    assert header is not None
    assert b64decode(header.removeprefix("Basic ")) == b"gateway-client:a%3Ab%25%2B+%C3%A9"
    assert not {"client_id", "client_secret"} & form.keys()


def test_both_halves_of_basic_are_encoded() -> None:
    assert b64decode(basic("i:d", "s:t").removeprefix("Basic ")) == b"i%3Ad:s%3At"


async def test_client_secret_post() -> None:
    header, form = await authenticated(Op(), client_secret=Secret(SECRET), client_auth="client_secret_post")
    assert (header, form["client_id"], form["client_secret"]) == (None, [CLIENT_ID], [SECRET])


async def test_none() -> None:
    header, form = await authenticated(Op(), client_secret=None)
    assert (header, form["client_id"]) == (None, [CLIENT_ID])
    assert "client_secret" not in form


@pytest.mark.parametrize(
    ("listed", "basic_is_used"),
    [
        (None, True),
        ([], True),
        (["client_secret_basic", "client_secret_post"], True),
        (["client_secret_post"], False),
        (["client_secret_post", "private_key_jwt"], False),
        (["private_key_jwt"], True),
        ("client_secret_post", True),
    ],
)
async def test_method_by_discovery(listed: object, basic_is_used: bool) -> None:
    header, form = await authenticated(Op(document={"token_endpoint_auth_methods_supported": listed}))
    assert (header is not None) is basic_is_used
    assert ("client_secret" in form) is not basic_is_used


async def test_configured_method_goes_before_discovery() -> None:
    op = Op(document={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    header, _form = await authenticated(op, client_auth="client_secret_basic")
    assert header is not None


async def test_secret_is_read_at_each_use() -> None:
    values = iter(["first", "second"])
    op = Op()
    client = op.client(client_auth="client_secret_post", client_secret=Secret(lambda: next(values)))
    await finish(client)
    await finish(client)
    assert op.form()["client_secret"] == ["second"]


async def test_missing_secret_is_no_crash() -> None:
    with pytest.raises(ProviderUnavailable):
        await finish(Op().client(client_auth="client_secret_basic", client_secret=None))


async def test_missing_key_is_no_crash() -> None:
    with pytest.raises(ProviderUnavailable):
        await finish(Op().client(client_auth="private_key_jwt"))


def write_key(folder: Path, key: Any) -> str:
    path = folder / "key.pem"
    path.write_bytes(key.as_pem(private=True))
    return str(path)


def write_certificate(folder: Path, key: RSAKey) -> tuple[str, bytes]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=900))
    private = key.private_key
    assert private is not None
    certificate = builder.public_key(key.public_key).sign(private, SHA256())
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(encoding=Encoding.PEM))
    return str(path), certificate.fingerprint(SHA256())


async def assertion(op: Op, key: Any, **given: Any) -> jwt.Token:
    header, form = await authenticated(op, client_auth="private_key_jwt", **given)
    assert header is None
    assert form["client_assertion_type"] == [ASSERTION_TYPE]
    assert form["client_id"] == [CLIENT_ID]
    return jwt.decode(form["client_assertion"][0], key, algorithms=["PS256", "RS256", "ES256", "ES384"])


@pytest.mark.parametrize(("key", "alg"), [(rsa(), "PS256"), (ec(), "ES256"), (ec(curve="P-384"), "ES384")])
async def test_assertion_names_key_and_parties(tmp_path: Path, key: RSAKey | ECKey, alg: str) -> None:
    token = await assertion(Op(), key, private_key_file=write_key(tmp_path, key))
    assert token.header == {"typ": "JWT", "alg": alg, "kid": key.thumbprint()}
    assert (token.claims["iss"], token.claims["sub"]) == (CLIENT_ID, CLIENT_ID)
    assert token.claims["aud"] == "https://op.example"
    assert (token.claims["iat"], token.claims["exp"] - token.claims["iat"]) == (NOW, 300)


async def test_assertion_algorithm_and_audience_are_configured(tmp_path: Path) -> None:
    token = await assertion(
        Op(),
        rsa(),
        private_key_file=write_key(tmp_path, rsa()),
        client_assertion_alg="RS256",
        client_assertion_audience="token_endpoint",
    )
    assert (token.header["alg"], token.claims["aud"]) == ("RS256", "https://op.example/token")


async def test_certificate_is_named_by_its_digest(tmp_path: Path) -> None:
    path, digest = write_certificate(tmp_path, rsa())
    token = await assertion(Op(), rsa(), private_key_file=write_key(tmp_path, rsa()), certificate_file=path)
    thumbprint = urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert token.header == {"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint}


async def test_every_assertion_has_an_id_of_its_own(tmp_path: Path) -> None:
    op = Op()
    client = op.client(client_auth="private_key_jwt", private_key_file=write_key(tmp_path, ec()))
    ids = set()
    for _ in range(5):
        await finish(client)
        ids.add(jwt.decode(op.form()["client_assertion"][0], ec(), algorithms=["ES256"]).claims["jti"])
    assert len(ids) == 5


async def test_replaced_key_file_is_read_again(tmp_path: Path) -> None:
    op = Op()
    client = op.client(client_auth="private_key_jwt", private_key_file=write_key(tmp_path, ec(0)))
    await finish(client)
    write_key(tmp_path, rsa())
    await finish(client)
    token = op.form()["client_assertion"][0]
    assert jws.extract_compact(token.encode()).headers()["kid"] == rsa().thumbprint()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", okp().as_pem(private=True)])
async def test_unusable_key_file_is_no_crash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ProviderUnavailable):
        await finish(Op().client(client_auth="private_key_jwt", private_key_file=str(path)))


async def test_missing_key_file_is_no_crash(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable):
        await finish(Op().client(client_auth="private_key_jwt", private_key_file=str(tmp_path / "none")))
