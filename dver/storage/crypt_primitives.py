"""The ciphers behind encrypted stores, and the only module that imports `cryptography`.

It is imported only where an encrypted store is opened: the package is an extra, and takes its time to load. Nothing
here knows of blobs or keys of a store. AES-256-GCM seals contents, AES-SIV (RFC 5297) names, so that equal names give
equal texts, HKDF-SHA256 makes one key from another, and scrypt makes one from a passphrase.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dver.objects.ids import Bytes

KEY_LENGTH = 32
NAME_KEY_LENGTH = 64
NONCE_LENGTH = 12
TAG_LENGTH = 16


class NotSealedError(Exception):
    """Bytes that this key has not sealed, or not in this place: damaged, exchanged, or sealed with another key."""


class Sealer:
    """AES-256-GCM under one key. The caller sees to it that no nonce is used twice."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, plain: Bytes, about: bytes) -> bytes:
        """Return `plain` encrypted, with a tag over it and over `about`, which is needed again to open it."""
        return self._cipher.encrypt(nonce, plain, about)

    def open(self, nonce: bytes, sealed: Bytes, about: bytes) -> bytes:
        """Return what was sealed, or raise NotSealedError."""
        try:
            return self._cipher.decrypt(nonce, sealed, about)
        except InvalidTag:
            raise NotSealedError from None


class NameSealer:
    """AES-256-SIV under one key: the same name always gives the same bytes, and only this key makes or opens them."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, name: bytes) -> bytes:
        """Return a name, which is not empty, encrypted."""
        return self._cipher.encrypt(name, None)

    def open(self, sealed: bytes) -> bytes:
        """Return the name that was sealed, or raise NotSealedError."""
        if len(sealed) <= TAG_LENGTH:
            raise NotSealedError
        try:
            return self._cipher.decrypt(sealed, None)
        except InvalidTag:
            raise NotSealedError from None


def derive(key: bytes, about: bytes, *, salt: bytes = b"", length: int = KEY_LENGTH) -> bytes:
    """Return a key for the purpose `about`, made from another that is as good as random."""
    return HKDF(hashes.SHA256(), length, salt, about).derive(key)


def stretch(passphrase: bytes, salt: bytes, *, n: int, r: int, p: int, length: int = KEY_LENGTH) -> bytes:
    """Return a key made from a passphrase, at the cost that scrypt's parameters set: 128 n r bytes, p times over."""
    return Scrypt(salt=salt, length=length, n=n, r=r, p=p).derive(passphrase)
