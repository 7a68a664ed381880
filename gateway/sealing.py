"""Keys for purposes: everything that is sealed, signed or derived hangs on the configured `secret_keys`.

The newest key seals, every key opens. Each purpose has a key of its own (HKDF-SHA256, RFC 5869), so that a value
made for one purpose is worth nothing for another.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Sealer:
    """Seals, opens and derives with a list of keys, newest first; each at least 32 bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one secret key is needed")
        self._keys = tuple(keys)
        self.derive = lru_cache(maxsize=64)(self._derive)
        self._fernet = lru_cache(maxsize=64)(self._make_fernet)
        self._keyed = lru_cache(maxsize=64)(self._make_keyed)

    @property
    def generations(self) -> range:
        """Indexes of the keys; 0 is the newest, the one that seals."""
        return range(len(self._keys))

    def _derive(self, purpose: str, generation: int = 0) -> bytes:
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"gateway/" + purpose.encode())
        return kdf.derive(self._keys[generation])

    def _make_fernet(self, purpose: str) -> MultiFernet:
        keys = (self.derive("seal/" + purpose, generation) for generation in self.generations)
        return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])

    def _make_keyed(self, purpose: str, generation: int) -> hmac.HMAC:
        return hmac.new(self.derive("mac/" + purpose, generation), digestmod="sha256")

    def seal(self, purpose: str, value: bytes) -> bytes:
        """Encrypt and authenticate (Fernet: AES-128-CBC with HMAC-SHA256)."""
        return self._fernet(purpose).encrypt(value)

    def open(self, purpose: str, sealed: bytes) -> bytes | None:
        """The value, or None when no key opens it for this purpose."""
        try:
            return self._fernet(purpose).decrypt(sealed)
        except InvalidToken:
            return None

    def mac(self, purpose: str, value: bytes, generation: int = 0) -> bytes:
        """HMAC-SHA256 of the value, 32 bytes."""
        keyed = self._keyed(purpose, generation).copy()  # the key is in already: a third of the time
        keyed.update(value)
        return keyed.digest()

    def mac_matches(self, purpose: str, value: bytes, tag: bytes) -> bool:
        """Whether any key made this tag. Compares in constant time; a tag shorter than 16 bytes never matches."""
        size = len(tag)
        if size < 16:
            return False
        return any(
            hmac.compare_digest(self.mac(purpose, value, generation)[:size], tag) for generation in self.generations
        )
