"""Why a health URL or a call got no answer, said without the words of a library."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from registry.calls.blocking_client import probe_urls
from registry.calls.connection_errors import describe_connection_error
from registry.calls.health_probe import Probe
from tests.support.credentials import make_certificate, serving
from tests.support.tls import context_of

LIBRARY_WORDS = ("connect call", "errno", "ssl:", "cannot connect", "multiple exceptions")


@contextlib.contextmanager
def saying(text: bytes) -> Iterator[str]:
    """A server that says this whatever it is asked, and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(text)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def asked(url: str) -> str:
    (answer,) = probe_urls([url])
    assert isinstance(answer, Probe)
    assert not answer.healthy
    assert not any(word in answer.error.lower() for word in LIBRARY_WORDS), answer.error
    return answer.error


@pytest.fixture
def closed() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_port_where_nobody_listens(closed: str) -> None:
    assert asked(f"http://{closed}/health") == "it refused the connection"
    assert asked(f"https://{closed}/health") == "it refused the connection"


def test_a_connection_that_is_closed_without_an_answer() -> None:
    with saying(b"") as place:
        assert asked(f"http://{place}/health") == "the connection broke"


def test_what_does_not_speak_http() -> None:
    with saying(b"220 mail.example.org ESMTP\r\n") as place:
        assert asked(f"http://{place}/health") == "its answer is no HTTP"


def test_what_does_not_speak_tls() -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        assert asked(f"https://{place}/health").startswith("TLS failed (")


def test_a_certificate_of_an_unknown_authority() -> None:
    with serving(lambda *_: None, tls=context_of(make_certificate("127.0.0.1"))) as base:
        assert asked(f"{base}/health").startswith("its certificate is not accepted (")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name is not known"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary"), "its name cannot be looked up now"),
        (OSError(101, "Network is unreachable"), "no network leads to it"),
        (OSError(113, "No route to host"), "no network leads to it"),
        (OSError(110, "Connection timed out"), "it did not take the connection in time"),
        (OSError(111, "Multiple exceptions: ..."), "it refused the connection"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection broke"),
    ],
)
def test_errors_of_sockets(error: OSError, said: str) -> None:
    assert describe_connection_error(error) == said
