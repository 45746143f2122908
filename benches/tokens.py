"""Mints access tokens with the server's own keys, thousands at once: the claims of `portcullis token issue`."""

import base64
import hashlib
import hmac
import json
import os
import time


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _uuid7(now_ms: int) -> str:
    raw = bytearray(now_ms.to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def claims(user: str, role: str, public_url: str = "http://127.0.0.1:8080") -> dict:
    """What a token for `user` says that is valid for an hour and issued now."""
    now = int(time.time())
    return {
        "iss": public_url,
        "sub": user,
        "aud": [public_url + "/mcp"],
        "jti": _uuid7(time.time_ns() // 1_000_000),
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "client_id": "bench",
        "type": "access",
        "username": user,
        "roles": [role],
        "permissions": [],
    }


def _signed(header: dict, user: str, role: str) -> str:
    """What the signature covers."""
    parts = (header, claims(user, role))
    return ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)


def mint(secret: str, user: str, role: str) -> str:
    """One HS256 token."""
    signed = _signed({"typ": "at+jwt", "alg": "HS256"}, user, role)
    return signed + "." + _b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


class Es256:
    """The private key of a server, which signs ES256 tokens. Needs the package `cryptography`."""

    def __init__(self, pem: bytes, kid: str):
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        self.key = serialization.load_pem_private_key(pem, None)
        self.how = ec.ECDSA(hashes.SHA256())
        self.numbers_of = utils.decode_dss_signature
        self.kid = kid

    def mint(self, user: str, role: str) -> str:
        """One ES256 token: the signature is r and s, 32 bytes each (RFC 7518 section 3.4)."""
        signed = _signed({"typ": "at+jwt", "alg": "ES256", "kid": self.kid}, user, role)
        r, s = self.numbers_of(self.key.sign(signed.encode(), self.how))
        return signed + "." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def forge(token: str) -> str:
    """The same token with another signature."""
    signed, signature = token.rsplit(".", 1)
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
