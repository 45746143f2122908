"""Mints access tokens with the configured secret, a thousand at once: the claims of `portcullis token issue`."""

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


def mint(secret: str, user: str, role: str, public_url: str = "http://127.0.0.1:8080") -> str:
    """One token for `user`, valid for an hour, issued now."""
    now = int(time.time())
    header = {"typ": "at+jwt", "alg": "HS256"}
    claims = {
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
    signed = ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return signed + "." + _b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def forge(token: str) -> str:
    """The same token with another signature."""
    signed, signature = token.rsplit(".", 1)
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
