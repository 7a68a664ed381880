"""Providers: presets filled in, addresses made of the tenant, credentials, and what the keys ask of each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from gateway.errors import ConfigurationError, Fault
from gateway.settings import ProviderSettings, Settings, build, load
from gateway.settings.presets import presets

WELL_KNOWN = "/.well-known/openid-configuration"
GUID = "11111111-aaaa-4bbb-8ccc-222222222222"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
CREDENTIALS = {"client_id": "abc", "client_secret": "s3cret"}
GOOGLE = {"preset": "google", **CREDENTIALS}
MICROSOFT = {"preset": "microsoft", **CREDENTIALS}
CORP = {"discovery_url": "https://id.example.com" + WELL_KNOWN, **CREDENTIALS}


def settings(**providers: dict[str, Any]) -> Settings:
    return build({"gateway": {"database_url": "sqlite://"}, "providers": providers})


def provider(values: dict[str, Any]) -> ProviderSettings:
    return settings(corp=values).providers["corp"]


def fault(values: dict[str, Any], name: str = "corp") -> Fault:
    with pytest.raises(ConfigurationError) as refused:
        settings(**{name: values})
    assert len(refused.value.faults) == 1, refused.value.faults
    return refused.value.faults[0]


def test_the_presets_are_those_that_work() -> None:
    assert list(presets()) == ["google", "microsoft"]


def test_google_needs_only_its_credentials() -> None:
    google = settings(google=GOOGLE).providers["google"]
    assert (google.label, google.issuer, google.discovery_url, google.client_auth, google.quirk) == (
        "Google",
        "https://accounts.google.com",
        "https://accounts.google.com" + WELL_KNOWN,
        "client_secret_post",
        "google",
    )


def test_any_other_provider_needs_only_its_document() -> None:
    corp = provider(CORP)
    assert (corp.label, corp.issuer, corp.client_auth, corp.id_token_algs) == (
        "Corp",
        "https://id.example.com",
        None,
        ("RS256",),
    )


def test_what_is_given_goes_before_the_preset() -> None:
    changed = provider({**GOOGLE, "label": "Work", "client_auth": "client_secret_basic", "scopes": ["openid"]})
    assert (changed.label, changed.client_auth, changed.scopes) == ("Work", "client_secret_basic", ("openid",))


def test_an_address_of_its_own_brings_its_own_issuer() -> None:
    assert provider({**GOOGLE, "discovery_url": "http://127.0.0.1:9/g" + WELL_KNOWN}).issuer == "http://127.0.0.1:9/g"


@pytest.mark.parametrize(
    ("values", "discovery", "issuer"),
    [
        ({"allowed_tenants": ["*"]}, "common", "{tenantid}"),
        ({"tenant": "organizations", "allowed_tenants": [GUID]}, "organizations", "{tenantid}"),
        ({"tenant": "consumers"}, "consumers", CONSUMERS),
        ({"tenant": GUID.upper()}, GUID, GUID),
        ({"tenant": "Contoso.example"}, "contoso.example", "{tenantid}"),
    ],
)
def test_the_addresses_of_a_tenant(values: dict[str, Any], discovery: str, issuer: str) -> None:
    found = provider({**MICROSOFT, **values})
    authority = "https://login.microsoftonline.com"
    assert found.discovery_url == f"{authority}/{discovery}/v2.0{WELL_KNOWN}"
    assert found.issuer == f"{authority}/{issuer}/v2.0"


@pytest.mark.parametrize(
    ("authority", "issuer"),
    [
        ("https://login.microsoftonline.us", "https://login.microsoftonline.us"),
        ("https://login.chinacloudapi.cn/", "https://login.partner.microsoftonline.cn"),
        ("http://127.0.0.1:4444", "http://127.0.0.1:4444"),
        ("http://localhost:4444/microsoft", "http://localhost:4444/microsoft"),
    ],
)
def test_the_addresses_of_another_authority(authority: str, issuer: str) -> None:
    found = provider({**MICROSOFT, "tenant": GUID, "authority": authority})
    assert found.discovery_url == f"{authority.rstrip('/')}/{GUID}/v2.0{WELL_KNOWN}"
    assert found.issuer == f"{issuer}/{GUID}/v2.0"


def test_a_copied_address_says_tenant_and_authority() -> None:
    url = f"https://login.microsoftonline.us/{GUID}/v2.0{WELL_KNOWN}?appid=abc"
    found = provider({**MICROSOFT, "discovery_url": url})
    assert (found.tenant, found.authority, found.discovery_url) == (GUID, "https://login.microsoftonline.us", url)
    assert found.issuer == f"https://login.microsoftonline.us/{GUID}/v2.0"


def test_a_copied_address_of_every_tenant_wants_the_allowed_ones_too() -> None:
    url = f"https://login.microsoftonline.com/common/v2.0{WELL_KNOWN}"
    assert fault({**MICROSOFT, "discovery_url": url}).key == "allowed_tenants"


def test_an_address_of_another_form_is_taken_as_it_is() -> None:
    url = f"https://t.b2clogin.com/t.onmicrosoft.com/b2c_1_x/v2.0{WELL_KNOWN}"
    found = provider({**MICROSOFT, "discovery_url": url, "issuer": f"https://t.b2clogin.com/{GUID}/v2.0/"})
    assert (found.tenant, found.issuer) == (None, f"https://t.b2clogin.com/{GUID}/v2.0/")


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({**MICROSOFT}, "allowed_tenants", '["*"]'),
        ({**MICROSOFT, "tenant": "organizations"}, "allowed_tenants", '["*"]'),
        ({**MICROSOFT, "tenant": GUID, "allowed_tenants": [CONSUMERS]}, "allowed_tenants", GUID),
        (
            {
                **MICROSOFT,
                "tenant": GUID,
                "discovery_url": f"https://login.microsoftonline.com/consumers/v2.0{WELL_KNOWN}",
            },
            "tenant",
            "leave one of the two out",
        ),
        ({**MICROSOFT, "tenant": GUID, "client_secret": GUID}, "client_secret", "secret's id"),
        ({**MICROSOFT, "tenant": GUID, "client_secret": ""}, "client_secret", "Value"),
        ({**GOOGLE, "client_secret": ""}, "client_secret", "Google Cloud console"),
        ({**GOOGLE, "client_id": ""}, "client_id", "Google Cloud console"),
        ({"preset": "google", "client_secret": "x"}, "client_id", "optional = true"),
        ({"preset": "google", "client_id": "x"}, "client_secret", "Google Cloud console"),
        ({**GOOGLE, "tenant": GUID}, "tenant", '"microsoft"'),
        ({**CORP, "allowed_tenants": ["*"]}, "allowed_tenants", '"microsoft"'),
        ({**CORP, "hosted_domains": ["a.example"]}, "hosted_domains", '"google"'),
        ({**CORP, "preset": "gogle"}, "preset", 'Did you mean "google"?'),
        ({**CREDENTIALS}, "discovery_url", WELL_KNOWN),
        ({**CORP, "discovery_url": "https://id.example.com"}, "discovery_url", WELL_KNOWN),
        ({**CORP, "issuer": "https://id.example/{tenantid}"}, "issuer", "write the issuer itself"),
        ({**CORP, "client_secret": ""}, "client_secret", 'client_auth = "none"'),
        ({**CORP, "scopes": ["email"]}, "scopes", "openid"),
        ({**CORP, "client_auth": "private_key_jwt"}, "private_key_file", "PEM"),
        ({**CORP, "private_key_file": "x.pem"}, "private_key_file", "private_key_jwt"),
        ({**CORP, "certificate_file": "x.pem"}, "certificate_file", "private_key_jwt"),
        ({**CORP, "client_assertion_alg": "PS256"}, "client_assertion_alg", "private_key_jwt"),
        ({**CORP, "client_secret_file": "/x"}, "client_secret_file", "one of the two"),
    ],
)
def test_keys_that_do_not_go_together_are_a_fault(values: dict[str, Any], key: str, words: str) -> None:
    found = fault(values)
    assert found.key == key
    assert words in found.hint


def test_a_forgotten_preset_is_pointed_out() -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(google=CREDENTIALS)
    assert refused.value.faults[0].hint == 'Write preset = "google", or give discovery_url.'


def test_a_public_client_needs_no_secret() -> None:
    assert provider({**CORP, "client_auth": "none", "client_secret": ""}).client_secret is None


@pytest.mark.parametrize(
    "name", ["Google", "9lives", "a" * 33, "with_underscore", "-a", "ü", "", "a.b", "token", "signed-out"]
)
def test_names_that_no_provider_can_have(name: str) -> None:
    assert "name" in fault(CORP, name).seen


# Optional and disabled


def test_an_optional_provider_without_a_client_id_is_left_out() -> None:
    found = settings(google={"preset": "google", "client_id": "", "optional": True}, corp=CORP)
    assert (list(found.providers), found.not_configured) == (["corp"], ("google",))


def test_an_optional_provider_may_lack_even_its_address() -> None:
    assert settings(corp={"client_id": "", "optional": True}).not_configured == ("corp",)


def test_an_optional_provider_with_a_client_id_is_judged_like_any_other() -> None:
    assert fault({**GOOGLE, "client_secret": "", "optional": True}).key == "client_secret"


def test_an_optional_provider_left_out_still_has_no_unknown_keys() -> None:
    assert fault({"preset": "google", "optional": True, "secret": "x"}).seen == "unknown key"


def test_a_disabled_provider_is_neither_offered_nor_missed() -> None:
    found = settings(corp={"enabled": False})
    assert (found.providers, found.not_configured) == ({}, ())


def test_the_shipped_file_starts_as_it_is() -> None:
    shipped = Path(__file__).parents[1] / "providers.toml"
    found = load(shipped, {"GATEWAY_DATABASE_URL": "sqlite://"})
    assert found.not_configured == ("google", "microsoft")


def test_the_shipped_file_is_filled_by_the_environment() -> None:
    shipped = Path(__file__).parents[1] / "providers.toml"
    ids = {f"{name}_{what}": "x" for name in ("GOOGLE", "MICROSOFT") for what in ("CLIENT_ID", "CLIENT_SECRET")}
    found = load(shipped, {"GATEWAY_DATABASE_URL": "sqlite://", **ids})
    assert list(found.providers) == ["google", "microsoft"]


# private_key_jwt


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505  that is what must be refused
EC = ec.generate_private_key(ec.SECP256R1())


def with_key(folder: Path, content: bytes, **more: Any) -> dict[str, Any]:
    (folder / "key.pem").write_bytes(content)
    return {**CORP, "client_auth": "private_key_jwt", "private_key_file": str(folder / "key.pem"), **more}


@pytest.mark.parametrize("key", [RSA, EC])
def test_a_private_key_stands_in_for_the_secret(tmp_path: Path, key: PrivateKeyTypes) -> None:
    found = provider(with_key(tmp_path, pem(key)))
    assert (found.private_key_file, found.client_secret) == (str(tmp_path / "key.pem"), None)


@pytest.mark.parametrize(
    ("content", "more", "key", "seen"),
    [
        (b"nonsense", {}, "private_key_file", "not a private key"),
        (pem(EC, b"pass"), {}, "private_key_file", "encrypted"),
        (pem(SMALL), {}, "private_key_file", "RSA with 1024 bits"),
        (pem(ec.generate_private_key(ec.SECP384R1())), {}, "client_assertion_alg", "missing"),
        (pem(ec.generate_private_key(ec.SECP256K1())), {}, "private_key_file", "another kind of key"),
        (pem(EC), {"client_assertion_alg": "PS256"}, "client_assertion_alg", "PS256"),
        (pem(EC), {"certificate_file": "/nowhere.pem"}, "certificate_file", "no such file or directory"),
        (pem(EC), {"private_key_file": "/nowhere.pem"}, "private_key_file", "no such file or directory"),
    ],
)
def test_keys_that_cannot_sign_are_a_fault(
    tmp_path: Path, content: bytes, more: dict[str, Any], key: str, seen: str
) -> None:
    found = fault(with_key(tmp_path, content, **more))
    assert found.key == key
    assert seen in found.seen


def certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=36500))
    return dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_bytes(certificate(RSA))
    found = provider(with_key(tmp_path, pem(RSA), certificate_file=str(tmp_path / "certificate.pem")))
    assert found.certificate_file == str(tmp_path / "certificate.pem")


def test_a_certificate_of_another_key_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_bytes(certificate(OTHER))
    found = fault(with_key(tmp_path, pem(RSA), certificate_file=str(tmp_path / "certificate.pem")))
    assert "of another key" in found.seen
