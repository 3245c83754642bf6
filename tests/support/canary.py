"""Planting secrets, and finding them again in whatever form."""

from __future__ import annotations

import base64
import html
import json
import secrets
import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.credentials import Pair, Reply, make_certificate

TYPES = (
    "API_KEY", "BEARER_TOKEN", "BASIC_AUTH", "OAUTH2_CLIENT_CREDENTIALS", "HMAC_SIGNATURE",
    "CLIENT_CERTIFICATE", "CUSTOM_HEADERS",
)  # fmt: skip
PARTS = {
    "API_KEY": "key",
    "BEARER_TOKEN": "token",
    "BASIC_AUTH": "password",
    "OAUTH2_CLIENT_CREDENTIALS": "client_secret",
    "HMAC_SIGNATURE": "key",
    "CLIENT_CERTIFICATE": "passphrase",
    "CUSTOM_HEADERS": "X-Canary",
}


@dataclass(frozen=True)
class Canary:
    """One planted secret, and what else must not be found."""

    number: int
    type: str
    value: str
    more: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"canary-{self.number}"

    @property
    def secret(self) -> dict[str, str]:
        return {PARTS[self.type]: self.value, **self.more}


class Cage:
    """The servers that the canaries are sent to: they repeat all that they are told."""

    def __init__(self, folder: Path) -> None:
        self.root = make_certificate("root")
        pair = make_certificate("localhost", issuer=self.root)
        chain = folder / "server.pem"
        chain.write_text(pair.certificate + pair.key)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.root.certificate)
        self.tls.load_cert_chain(chain)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.heard: list[str] = []
        self.tokens: list[str] = []

    def answer(self, request: Any, body: bytes) -> Reply:
        headers = dict(request.headers.items())
        said = {"path": request.path, "headers": headers, "body": body.decode()}
        self.heard.append(json.dumps(said, ensure_ascii=False))
        if request.path == "/token":
            self.tokens.append(f"canary-token-{secrets.token_hex(8)}")
            token = {"access_token": self.tokens[-1], "token_type": "Bearer"}
            return Reply(200, json.dumps(token | said).encode())
        if request.path.startswith("/refuse-text"):
            return Reply(400, f"Refused {headers} at {request.path}".encode())
        if request.path.startswith("/refuse"):
            return Reply(500, json.dumps({"detail": f"Refused {json.dumps(headers)}"}).encode())
        if request.path.startswith("/twice"):
            name = json.dumps(headers.get("Authorization", ""))
            return Reply(200, f"{{{name}: 1, {name}: 2}}".encode())
        encoded = {
            name: base64.b64encode(value.encode()).decode() for name, value in headers.items()
        }
        return Reply(200, json.dumps(said | {"encoded": encoded}).encode())


def hatch(number: int, *, root: Pair, token_url: str) -> Canary:
    """A canary of the type whose turn it is."""
    type = TYPES[number % len(TYPES)]
    value = f'canary{number}+/=&"<{secrets.token_hex(8)}>%'
    if type == "CLIENT_CERTIFICATE":
        pair = make_certificate(f"hub-{number}", issuer=root)
        said = {"certificate": pair.certificate, "ca": root.certificate}
        return Canary(number, type, value, {"private_key": pair.encrypted_key(value)}, said)
    attributes = {
        "BASIC_AUTH": {"username": "robot"},
        "OAUTH2_CLIENT_CREDENTIALS": {"token_url": token_url, "client_id": f"hub-{number}"},
        "API_KEY": {"query_parameter": "key"} if number % 2 else {"header": "X-Key"},
    }
    return Canary(number, type, value, {}, attributes.get(type, {}))


def forms_of(text: str) -> set[bytes]:
    """A text as something might have written it down."""
    raw = text.encode()
    found = {text, json.dumps(text)[1:-1], html.escape(text), repr(text)[1:-1]}
    found |= {urllib.parse.quote(text), urllib.parse.quote(text, safe="")}
    found |= {urllib.parse.quote_plus(text), raw.hex(), raw.hex().upper()}
    for offset in range(3):
        encoded = base64.b64encode(b"." * offset + raw).decode()
        core = encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4]
        found |= {core, core.replace("+", "-").replace("/", "_")}
        found |= {urllib.parse.quote(core, safe="")}
    return {form.encode() for form in found}


def needles(canaries: list[Canary], tokens: list[str]) -> dict[bytes, str]:
    """Every form of every secret, and whose it is. Of a private key its first whole line."""
    found: dict[bytes, str] = {}
    for canary in canaries:
        texts = [canary.value]
        if key := canary.more.get("private_key"):
            texts.append(key.splitlines()[2])
        for text in texts:
            found |= dict.fromkeys(forms_of(text), f"{canary.type} {canary.name}")
    for token in tokens:
        found |= dict.fromkeys(forms_of(token), "an access token")
    return found


def sightings(haystack: bytes, wanted: dict[bytes, str]) -> list[str]:
    """Whose secrets are in it, with what stands around them. No secret has more than one line."""
    # Pages repeat most of their lines; each is searched once.
    lines = b"\n".join(set(haystack.splitlines()))
    found = []
    for needle, owner in wanted.items():
        at = lines.find(needle)
        if at >= 0:
            around = lines[max(at - 150, 0) : at + 60]
            found.append(f"{owner}: {around!r}")
    return found
