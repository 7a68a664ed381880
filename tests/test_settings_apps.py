"""`[apps.<client_id>]`: what is taken, and which faults are named."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.errors import ConfigurationError
from gateway.settings import AppSettings, build

SECRET = "not-a-real-secret-" + "x" * 20
HASH = "sha256:" + sha256(SECRET.encode()).hexdigest()
RETURN = {"redirect_uris": ["https://shop.example.com/callback"]}
WEB = {"type": "web", "client_secret": SECRET, **RETURN}


def app(table: dict[str, Any], client_id: str = "shop") -> AppSettings:
    return build({"gateway": {"database_url": "sqlite://"}, "apps": {client_id: table}}).apps[client_id]


def test_what_an_application_comes_to() -> None:
    found = app(WEB)
    assert (found.client_id, found.label, found.redirect_uris) == ("shop", "shop", tuple(RETURN["redirect_uris"]))
    assert found.client_secret is not None
    assert found.client_secret.get() == SECRET
    assert found.scopes == ("openid", "profile", "email", "offline_access")


def test_a_service_may_ask_for_nothing_unless_told() -> None:
    assert app({"type": "service", "client_secret_hash": HASH}).scopes == ()


def test_a_hash_is_the_digest_of_the_secret() -> None:
    found = app({"type": "service", "client_secret_hash": HASH})
    assert found.client_secret_hash == sha256(SECRET.encode()).digest()
    assert HASH[7:] not in repr(found)


def test_a_public_key_is_read(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    assert app({"type": "service", "public_key_file": str(tmp_path / "key.pem")}).public_key == pem.decode()


@pytest.mark.parametrize(
    "uri",
    [
        "https://shop.example.com/callback",
        "https://shop.example.com/callback?tenant=1",
        "http://localhost:3000/",
        "http://127.0.0.1/callback",
        "http://[::1]/callback",
        "com.example.app:/return",
    ],
)
def test_addresses_a_native_application_may_have(uri: str) -> None:
    assert app({"type": "native", "redirect_uris": [uri]}).redirect_uris == (uri,)


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("gateway", WEB, "", "is not"),
    ("sh op", WEB, "", "is made of letters"),
    ("shop", {**RETURN}, "type", "Write web, spa, native or service"),
    ("shop", {"type": "robot", **RETURN}, "type", "Choose one of"),
    ("shop", {"type": "web", "client_secret": SECRET}, "redirect_uris", "Name each address"),
    ("shop", {"type": "web", **RETURN}, "client_secret", "gateway apps new-secret"),
    ("shop", {**WEB, "client_secret": "short"}, "client_secret", "at least 32"),
    ("shop", {**WEB, "client_secret_hash": HASH}, "client_secret_hash", "Give one of them"),
    ("shop", {**WEB, "client_secret_file": "/nowhere/secret"}, "client_secret_file", "Give one of them"),
    ("shop", {"type": "web", **RETURN, "client_secret_file": "/nowhere"}, "client_secret_file", "must be readable"),
    ("shop", {"type": "web", **RETURN, "public_key_file": "/nowhere"}, "public_key_file", "must be there"),
    ("shop", {"type": "web", **RETURN, "client_secret_hash": "sha256:beef"}, "client_secret_hash", "64 hex digits"),
    ("shop", {**WEB, "type": "spa"}, "client_secret", "is no secret"),
    ("shop", {**WEB, "type": "native"}, "client_secret", "is no secret"),
    ("shop", {**WEB, "type": "service"}, "redirect_uris", "Nobody signs in"),
    (
        "shop",
        {"type": "service", "client_secret": SECRET, "scopes": ["offline_access"]},
        "scopes",
        "asks for a new token",
    ),
    ("shop", {**WEB, "providers": ["google"]}, "providers", "There is no [providers.google]"),
    ("shop", {**WEB, "providers": []}, "providers", "Name at least one"),
    ("shop", {**WEB, "colour": "blue"}, "colour", "No key is called so"),
    ("shop", {**WEB, "redirect_uris": ["http://shop.example.com/callback"]}, "redirect_uris", "Use https"),
    ("shop", {**WEB, "redirect_uris": ["https://shop.example.com/#x"]}, "redirect_uris", "what follows #"),
    ("shop", {**WEB, "redirect_uris": ["https://shop.example.com/x#"]}, "redirect_uris", "what follows #"),
    ("shop", {**WEB, "redirect_uris": ["https://shop.example.com"]}, "redirect_uris", "only a slash"),
    ("shop", {**WEB, "redirect_uris": ["https://*.example.com/"]}, "redirect_uris", "stands for nothing"),
    ("shop", {**WEB, "redirect_uris": ["https://SHOP.example.com/"]}, "redirect_uris", "as a browser does"),
    ("shop", {**WEB, "redirect_uris": ["https://a@shop.example.com/"]}, "redirect_uris", "user and password"),
    ("shop", {**WEB, "redirect_uris": ["com.example.app:/return"]}, "redirect_uris", "only for type"),
    ("shop", {"type": "native", "redirect_uris": ["javascript:alert(1)"]}, "redirect_uris", "whole address"),
    ("shop", {"type": "native", "redirect_uris": ["myapp:/return"]}, "redirect_uris", "whole address"),
    ("shop", {**WEB, "backchannel_logout_url": "http://shop.example.com/x"}, "backchannel_logout_url", "Use https"),
]


@pytest.mark.parametrize(("client_id", "table", "key", "hint"), REFUSED)
def test_faults(client_id: str, table: dict[str, Any], key: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        app(table, client_id)
    assert [(fault.key, hint in fault.hint) for fault in refused.value.faults if fault.key == key] == [(key, True)]


def test_weak_and_private_keys_are_refused(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505  weak on purpose
    private = ec.generate_private_key(ec.SECP256R1())
    contents = {
        "weak": weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "private": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "none": b"nothing",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigurationError) as refused:
            app({"type": "service", "public_key_file": str(tmp_path / name)})
        assert [fault.key for fault in refused.value.faults] == ["public_key_file"]
