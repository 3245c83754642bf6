"""A server that answers with bytes as they are given, for peers that frame oddly."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

ONE_PIECE, HEAD_FIRST, BYTE_BY_BYTE = "one piece", "head first", "byte by byte"
# Every way in which the network may cut an answer.
CUTS = (ONE_PIECE, HEAD_FIRST, BYTE_BY_BYTE)


def _head(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


_CONTENT = b'{"ok":true}'
_OK = _head("200 OK", "Content-Length: 11") + _CONTENT
_CHUNKED = "Transfer-Encoding: chunked"
_CHUNKS = b"b\r\n" + _CONTENT + b"\r\n0\r\n\r\n"
# A whole answer, which would be taken for that to the next request.
_FORGED = _head("200 OK", "Content-Length: 13") + b'{"forged": 1}'
# Answers that are complete, whatever follows: their name, method, bytes, status and content.
ODD_ANSWERS: dict[str, tuple[str, bytes, int, bytes]] = {
    "204, body": ("POST", _head("204 No Content") + _CONTENT, 204, b""),
    "204, length and body": (
        "POST", _head("204 No Content", "Content-Length: 11") + _CONTENT, 204, b""),
    "204, length, no body": ("POST", _head("204 No Content", "Content-Length: 11"), 204, b""),
    "204, chunks": ("POST", _head("204 No Content", _CHUNKED) + _CHUNKS, 204, b""),
    "204, encoding": (
        "POST", _head("204 No", "Content-Encoding: br", "Content-Length: 3") + b"abc", 204, b""),
    "204, forged answer": ("POST", _head("204 No Content") + _FORGED, 204, b""),
    "304, body": (
        "GET", _head("304 Not Modified", "Content-Length: 11") + _CONTENT, 304, b""),
    "HEAD, body": ("HEAD", _OK, 200, b""),
    "102 with a length": (
        "POST", _head("102 Processing", "Content-Length: 9") + _OK, 200, _CONTENT),
    "103 with chunks": ("POST", _head("103 Early Hints", _CHUNKED) + _OK, 200, _CONTENT),
    "200, more than its length": ("POST", _OK + b"more", 200, _CONTENT),
    "200, forged answer": ("POST", _OK + _FORGED, 200, _CONTENT),
    "200, chunks and more": (
        "POST", _head("200 OK", _CHUNKED) + _CHUNKS + b"more", 200, _CONTENT),
}  # fmt: skip


class RawServer:
    """Answers the first request with these bytes, every later one with 200 and `{"ok":true}`."""

    def __init__(self, answer: bytes, cut: str = ONE_PIECE) -> None:
        self._pieces = _cut(answer, cut)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.sent = threading.Event()
        self.requests = 0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer = self._listener.accept()[0]
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(peer)
                self.connections += 1
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            while _read_request(peer):
                with self._lock:
                    self.requests += 1
                    first = self.requests == 1
                try:
                    for piece in self._pieces if first else [_OK]:
                        peer.sendall(piece)
                finally:  # the peer may have dropped the connection before the end
                    self.sent.set()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _cut(answer: bytes, cut: str) -> Sequence[bytes]:
    if cut == ONE_PIECE:
        return [answer]
    if cut == HEAD_FIRST:
        end = answer.index(b"\r\n\r\n") + 4
        return [answer[:end], answer[end:]]
    return [answer[i : i + 1] for i in range(len(answer))]


def _read_request(peer: socket.socket) -> bytes:
    """One request with its body; empty at the end of the connection."""
    request = b""
    while b"\r\n\r\n" not in request:
        piece = peer.recv(65536)
        if not piece:
            return b""
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [
        line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    ]
    while len(body) < int(lengths[0] if lengths else 0):
        body += peer.recv(65536)
    return request


@contextlib.contextmanager
def raw_server(answer: bytes, cut: str = ONE_PIECE) -> Iterator[RawServer]:
    """A server in a thread of its own, gone at the end."""
    server = RawServer(answer, cut)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
