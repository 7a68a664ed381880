"""The public key of an application that proves itself by `private_key_jwt`."""

from __future__ import annotations

from .parse import Unfit, describe
from .private_keys import CURVES, SMALLEST_RSA, read_pem
from .tables import Table


def judge_public_key(table: Table, file: str) -> None:
    """A fault where the file holds no usable public key."""
    try:
        check_public_key(read_pem(file))
    except Unfit as unfit:
        table.fault("public_key_file", describe(file) + f": {unfit.seen}", unfit.hint)


def check_public_key(content: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # heavy, and only this way of proof needs it
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in content:
        raise Unfit("Give the public key alone; the private one stays with the application.", "a private key")
    try:
        key = load_pem_public_key(content)
    except Exception:
        raise Unfit("Give the public key in PEM form (BEGIN PUBLIC KEY).", "not a public key") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA:
        raise Unfit(f"An RSA key has at least {SMALLEST_RSA} bits.", f"RSA with {key.key_size} bits")
    if not isinstance(key, rsa.RSAPublicKey) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
    ):
        raise Unfit("Use an RSA key, or an EC key on P-256.", "another kind of key")
