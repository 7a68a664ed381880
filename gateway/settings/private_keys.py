"""Key and certificate for `private_key_jwt`: whether they can be used, and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parse import Unfit, describe
from .secret_files import explain, read_small
from .tables import Table

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
SMALLEST_RSA = 2048  # bits


def judge_private_key(table: Table, values: dict[str, Any]) -> None:
    """Faults of `private_key_file`, `certificate_file` and `client_assertion_alg`."""
    if not table.sound("private_key_file", "certificate_file", "client_assertion_alg"):
        return
    if "private_key_file" not in values:
        table.fault("private_key_file", "missing", "private_key_jwt needs the private key, a PEM file.")
        return
    try:
        key = load_key(values["private_key_file"])
    except Unfit as unfit:
        table.fault("private_key_file", describe(values["private_key_file"]) + f": {unfit.seen}", unfit.hint)
        return
    judge_alg(table, key, values.get("client_assertion_alg"))
    if "certificate_file" in values:
        try:
            judge_certificate(values["certificate_file"], key)
        except Unfit as unfit:
            table.fault("certificate_file", describe(values["certificate_file"]) + f": {unfit.seen}", unfit.hint)


def load_key(file: str) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.asymmetric import (
        ec,
        rsa,
    )  # heavy, and only this way of proof needs it
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = read_pem(file)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise Unfit("Store the key without a passphrase, readable by the gateway alone.", "encrypted") from None
    except Exception:
        raise Unfit("Give the private key in PEM form (BEGIN PRIVATE KEY).", "not a private key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < SMALLEST_RSA:
        raise Unfit(f"An RSA key has at least {SMALLEST_RSA} bits.", f"RSA with {key.key_size} bits")
    if not isinstance(key, rsa.RSAPrivateKey) and not (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES
    ):
        raise Unfit("Use an RSA key, or an EC key on P-256.", "another kind of key")
    return key


def judge_alg(table: Table, key: PrivateKeyTypes, alg: str | None) -> None:
    curve = getattr(key, "curve", None)
    fitting = (CURVES[curve.name],) if curve else ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
    default = "ES256" if curve else "PS256"
    if alg not in fitting and not (alg is None and default in fitting):
        table.fault("client_assertion_alg", alg or "missing", f"This key signs with {', '.join(fitting)}.")


def judge_certificate(file: str, key: PrivateKeyTypes) -> None:
    from cryptography.x509 import load_pem_x509_certificate

    content = read_pem(file)
    try:
        certificate = load_pem_x509_certificate(content)
    except ValueError:
        raise Unfit("Give the certificate in PEM form (BEGIN CERTIFICATE).", "not a certificate") from None
    if certificate.public_key() != key.public_key():
        raise Unfit("Give the certificate of this very key.", "of another key")


def read_pem(file: str) -> bytes:
    try:
        return read_small(Path(file)).encode()
    except (OSError, ValueError) as fault:
        raise Unfit("The file must be there and readable by the gateway.", explain(fault)) from None
