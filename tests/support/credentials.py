"""Credentials, certificates and servers for the tests of credentials."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from registry.credentials.lifecycle import create_credential
from registry.models import Credential

ORIGIN = "https://api.example.org"
SECRETS: dict[str, dict[str, str]] = {
    "API_KEY": {"key": "api-key-0123456789"},
    "BEARER_TOKEN": {"token": "bearer-0123456789"},
    "BASIC_AUTH": {"password": "pass word+/äé"},
    "OAUTH2_CLIENT_CREDENTIALS": {"client_secret": "client secret/&="},
    "HMAC_SIGNATURE": {"key": "signing-key-0123456789"},
    "CUSTOM_HEADERS": {"X-Tenant": "tenant-0123456789", "X-Other": "other-0123456789"},
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "BASIC_AUTH": {"username": "robot"},
    "OAUTH2_CLIENT_CREDENTIALS": {"token_url": f"{ORIGIN}/token", "client_id": "hub"},
}


def fields_of(type: str, **more: Any) -> dict[str, Any]:
    """What makes a credential of this type."""
    found = {
        "name": f"{type.lower().replace('_', '-')}-1",
        "type": type,
        "attributes": ATTRIBUTES.get(type, {}),
        "allowed_origins": [ORIGIN],
        "secret": SECRETS.get(type, {}),
    }
    if type == "CLIENT_CERTIFICATE":
        pair = make_certificate("client")
        found |= {"attributes": {"certificate": pair.certificate}}
        found |= {"secret": {"private_key": pair.key}}
    return found | more


def make_credential(type: str = "BEARER_TOKEN", **more: Any) -> Credential:
    return create_credential(fields_of(type, **more), actor="tester")


# --- Certificates ---


class Pair:
    """A certificate with its key, both as PEM, and what signs others."""

    def __init__(self, name: str, issuer: Pair | None, ends_at: datetime) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(signer.subject)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(ends_at)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            # Without these Python 3.13 refuses it.
            .add_extension(_identifier(x509.SubjectKeyIdentifier, self), False)
            .add_extension(_identifier(x509.AuthorityKeyIdentifier, signer), False)
            .add_extension(_usage(signs=issuer is None), True)
        )
        self.certificate = (
            builder.sign(signer.private, SHA256()).public_bytes(Encoding.PEM).decode()
        )

    @property
    def key(self) -> str:
        return self.encoded(NoEncryption())

    def encrypted_key(self, passphrase: str) -> str:
        return self.encoded(BestAvailableEncryption(passphrase.encode()))

    def encoded(self, encryption: Any) -> str:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _identifier(extension: Any, of: Pair) -> Any:
    key = of.private.public_key()
    if extension is x509.AuthorityKeyIdentifier:
        return extension.from_issuer_public_key(key)
    return extension.from_public_key(key)


def _usage(*, signs: bool) -> x509.KeyUsage:
    no = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, crl_sign=signs, **no)


def make_certificate(name: str, *, issuer: Pair | None = None, days: int = 365) -> Pair:
    return Pair(name, issuer, datetime.now(UTC).replace(microsecond=0) + timedelta(days=days))


# --- Servers ---


class Reply:
    """What a server answers: status, body, headers."""

    def __init__(self, status: int, body: bytes, **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers


@contextlib.contextmanager
def serving(answer: Any, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A real server in threads; `answer(handler, body)` gives the Reply. Yields its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = answer(self, body)
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_DELETE = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A refused handshake is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    try:
        yield f"{scheme}://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
