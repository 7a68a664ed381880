"""Signing: what is made with less than joserfc's way is what joserfc's way would have made."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from itertools import count

from joserfc import jws
from joserfc.jwk import ECKey

from gateway.tokens.signing import Signer, generate


def test_every_signature_has_two_numbers_of_32_bytes_and_holds_for_others() -> None:
    key = generate("ES256")
    assert isinstance(key, ECKey)
    signer = Signer(key, alg="ES256", kid="one", typ="JWT")
    public = ECKey.import_key(key.as_dict(private=False))
    for number in count():
        token = signer.sign({"number": number})
        assert jws.deserialize_compact(token, public, algorithms=["ES256"]).payload == b'{"number":%d}' % number
        signature = urlsafe_b64decode(token.rpartition(".")[2] + "==")
        assert len(signature) == 64
        if 0 in (signature[0], signature[32]):  # in one of 128 a number is so small that it must be filled up
            break
