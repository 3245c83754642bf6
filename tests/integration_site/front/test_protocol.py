"""What peers say, well and badly, over raw sockets to a front that listens."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from core.api.exchange import WebRequest, WebStream
from integration_site.front import connections, protocol, receiving, sending
from tests.integration_site.front.running import (
    RunningFront,
    head,
    read_to_end,
    running_front,
    status_of,
)
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.once
SOON = 0.3


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with what a view would see of the request."""
    seen = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH", "REMOTE_ADDR"):
        seen[name] = environ[name]
    seen["body"] = environ["wsgi.input"].read().decode("latin-1")
    seen["scheme"] = environ["wsgi.url_scheme"]
    body = b"x" * 1_500_000 if environ["PATH_INFO"] == "/large" else json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


@pytest.fixture(scope="module")
def front() -> Iterator[RunningFront]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "LOOK_SECONDS", 0.05)
        with running_front(echo) as running:
            yield running


@pytest.fixture
def hasty_front(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> RunningFront:
    """For peers that are slow on purpose: a loaded machine is slow for the others too."""
    for name in ("HEAD_SECONDS", "UNTAKEN_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(protocol, name, SOON)
    monkeypatch.setattr(receiving, "BODY_SECONDS", SOON)
    return front


def body_of(answer: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return body


def assert_problem(answer: bytes, status: int, words: str = "") -> None:
    assert status_of(answer) == status, answer
    assert b"content-type: application/problem+json" in answer
    problem = body_of(answer)
    assert problem["status"] == status and words in problem["detail"], problem
    assert f"x-request-id: {problem['request_id']}".encode() in answer


CLOSE = b"Connection: close\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: localhost\r\n"
CHUNKS = b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Api-Key: trailer\r\n\r\n"
UNDERSTOOD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "absolute target": (
        b"GET http://elsewhere:1/a?b=c HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
        {"PATH_INFO": "/a", "QUERY_STRING": "b=c", "HTTP_HOST": "elsewhere:1"},
    ),
    "absolute target without a path": (
        b"GET http://elsewhere?b/c HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
        {"PATH_INFO": "/", "QUERY_STRING": "b/c"},
    ),
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n", {"PATH_INFO": "/a"}),
    "a path that is no UTF-8": (head("/%ff%fe", "Connection: close"), {"PATH_INFO": "/\xff\xfe"}),
    "two slashes": (head("//a//b", "Connection: close"), {"PATH_INFO": "//a//b"}),
    "length": (POST + b"Content-Length: 3\r\n" + CLOSE + b"abc", {"body": "abc"}),
    "chunks, and a trailer that is no header": (
        POST + b"Transfer-Encoding: chunked\r\n" + CLOSE + CHUNKS,
        {"body": "abcde", "CONTENT_LENGTH": "5"},
    ),
    "no body": (POST + b"Content-Length: 0\r\n" + CLOSE, {"body": ""}),
    "upgrade": (
        head("/a", "Connection: upgrade, close", "Upgrade: h2c") + b"\x00\x01",
        {"PATH_INFO": "/a"},
    ),
    "what is not for us": (
        head("/a", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "Connection: close"),
        {"REMOTE_ADDR": "127.0.0.1", "scheme": "http"},
    ),
}


@pytest.mark.parametrize(("sent", "seen"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_request_is_understood(front: RunningFront, sent: bytes, seen: dict[str, Any]) -> None:
    answer = front.exchange(sent)
    assert status_of(answer) == 200, answer
    assert seen.items() <= body_of(answer).items()
    assert not {"HTTP_X_API_KEY", "HTTP_X_FORWARDED_FOR"} & body_of(answer).keys()


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "no HTTP request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "one Host"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "one Host"),
    "HTTP/2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "no HTTP request"),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no HTTP request"),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "is a path"),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "is a path"),
    "bytes in the path": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "a space before the colon": (head("/", "A : b"), 400, ""),
    "a folded field": (head("/", "A: b", " c"), 400, ""),
    "a field without a name": (head("/", ": b"), 400, ""),
    "NUL in a field": (head("/", "A: b\x00c"), 400, ""),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400, ""),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, ""),
    "one length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, ""),
    "lengths in one": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, ""),
    "length with a sign": (POST + b"Content-Length: +3\r\n\r\nabc", 400, ""),
    "length and chunks": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, ""),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", 400, ""),
    "unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "chunked"),
    "coding that is none": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, ""),
    "chunks in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0"),
    "a chunk of no size": (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, ""),
    "a long chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400, ""),
    "a large field": (head("/", "A: " + "a" * 40_000), 431, "32 KiB"),
    "a large field without an end": (head("/")[:-2] + b"A: " + b"a" * 400_000, 431, "32 KiB"),
    "a long path": (head("/" + "a" * 40_000), 431, "32 KiB"),
    "many fields": (head("/", *(f"A{n}: b" for n in range(101))), 431, "100 fields"),
    "a large body": (POST + b"Content-Length: 2097154\r\n" + CLOSE, 413, "2 MiB"),
    "a large body in chunks": (
        POST + b"Transfer-Encoding: chunked\r\n" + CLOSE + b"200002\r\n" + b"a" * 2_097_154
        + b"\r\n0\r\n\r\n", 413, "2 MiB"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_request_is_refused(front: RunningFront, sent: bytes, status: int, words: str) -> None:
    assert_problem(front.exchange(sent), status, words)


SLOW: dict[str, tuple[bytes, int | None]] = {
    "nothing": (b"", None),
    "half a request line": (b"GET /", 408),
    "half a head": (head("/")[:-2], 408),
    "half a head after line ends": (b"\r\n\r\nGET /", 408),
    "half a body": (POST + b"Content-Length: 10\r\n\r\nabc", 408),
    "half a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 408),
}


@pytest.mark.parametrize(("sent", "status"), SLOW.values(), ids=SLOW)
def test_peer_that_says_half_is_refused_in_time(
    hasty_front: RunningFront, sent: bytes, status: int | None
) -> None:
    answer = hasty_front.exchange(sent)
    if status is None:
        assert answer == b""
    else:
        assert_problem(answer, status, "did not come")


@pytest.mark.parametrize("sent", [b"A: b\r\n", b"\r\n"], ids=["fields", "empty lines"])
def test_head_that_drips_is_refused_in_time(hasty_front: RunningFront, sent: bytes) -> None:
    with hasty_front.connect(b"" if sent == b"\r\n" else head("/")[:-2]) as peer:
        is_over = threading.Event()

        def drip() -> None:
            while not is_over.wait(SOON / 10):
                try:
                    peer.sendall(sent)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert b" 408 " in read_to_end(peer) or sent == b"\r\n"
        except ConnectionResetError:
            pass
        finally:
            is_over.set()
            thread.join()


def test_peer_that_does_not_take_its_answers_is_dropped(hasty_front: RunningFront) -> None:
    state = hasty_front.server.server_state
    before = state.total_requests
    with hasty_front.connect(head("/large") * 8, receive_buffer=4096) as peer:
        until(lambda: state.total_requests > before and not state.connections)
        with pytest.raises(ConnectionError):
            read_to_end(peer)


def test_oldest_stalled_answers_make_room_for_others(
    front: RunningFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "UNTAKEN_SECONDS", 60)
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0)
    monkeypatch.setattr(sending, "UNTAKEN_BYTES_OF_ADDRESS", 4_000_000)
    before = front.server.server_state.total_requests + 3
    peers = [front.connect(head("/large") * 8, receive_buffer=4096) for _ in range(4)]
    until(lambda: front.server.server_state.total_requests > before)
    open_connections = front.server.server_state.connections

    def is_within_bound() -> bool:  # how much the system takes off our hands varies
        untaken = [peer.transport.get_write_buffer_size() for peer in list(open_connections)]
        return len(untaken) < len(peers) and sum(untaken) <= sending.UNTAKEN_BYTES_OF_ADDRESS

    until(is_within_bound)
    assert open_connections
    assert len(front.get("/large")) > 1_500_000
    for peer in peers:
        peer.close()
    until(lambda: not front.server.server_state.connections)


def test_large_answer_comes_whole(front: RunningFront) -> None:
    answer = front.get("/large")
    assert answer.partition(b"\r\n\r\n")[2] == b"x" * 1_500_000


def test_pipelined_requests_are_answered_in_order(front: RunningFront) -> None:
    paths = [f"/{n}" for n in range(20)]
    answer = front.exchange(b"".join(map(head, paths)) + head("/last", "Connection: close"))
    seen = re.findall(rb'"PATH_INFO": "([^"]+)"', answer)
    assert seen == [path.encode() for path in (*paths, "/last")]


def test_refusal_comes_after_the_answer_before_it(front: RunningFront) -> None:
    answer = front.exchange(head("/a") + b"nonsense\r\n\r\n")
    first, second = answer.split(b"HTTP/1.1 400")
    assert body_of(first)["PATH_INFO"] == "/a"
    assert b"problem+json" in second


def test_body_is_asked_for_when_it_is_expected(front: RunningFront) -> None:
    with front.connect(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n" + CLOSE) as peer:
        assert peer.recv(100).startswith(b"HTTP/1.1 100 ")
        peer.sendall(b"abc")
        assert body_of(read_to_end(peer))["body"] == "abc"


def test_body_that_is_too_large_is_not_asked_for(front: RunningFront) -> None:
    sent = POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    assert_problem(front.exchange(sent), 413, "2 MiB")


def test_head_is_answered_without_a_body(front: RunningFront) -> None:
    answer = front.get("/a", method="HEAD")
    assert answer.endswith(b"\r\n\r\n") and b"content-length: " in answer


class Streamed:
    """Answers with parts, once the peer may go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    async def answer(self, request: WebRequest) -> WebStream:
        return WebStream(self._parts(), (("Content-Type", "text/plain"),))

    async def _parts(self) -> AsyncGenerator[bytes]:
        await asyncio.to_thread(self.may_go_on.wait, 20)
        for part in (b"first", b"", b"second"):
            yield part


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (head("/stream", "Connection: close"), b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"),
        (b"GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n", b"firstsecond"),
    ],
    ids=["1.1", "1.0"],
)
def test_stream_has_its_head_at_once_and_an_end(sent: bytes, body: bytes) -> None:
    streamed = Streamed()
    with running_front(echo, {"/stream": streamed}) as front, front.connect(sent) as peer:
        before = peer.recv(4096)
        assert status_of(before) == 200 and before.endswith(b"\r\n\r\n")
        assert (b"transfer-encoding: chunked" in before) == (b"HTTP/1.1\r\n" in sent)
        streamed.may_go_on.set()
        assert read_to_end(peer) == body


def test_field_with_an_underscore_passes_for_no_other(front: RunningFront) -> None:
    seen = body_of(front.get("/a", "X_Api_Key: forged", "X-Other: real"))
    assert "HTTP_X_API_KEY" not in seen and seen["HTTP_X_OTHER"] == "real"


# --- Connections ----------------------------------------------------------------------------------


def is_closed(peer: socket.socket) -> bool:
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        peer.settimeout(PATIENCE)


@pytest.mark.parametrize("most", [{"per_address": 3}, {"most": 3}], ids=["address", "all"])
def test_longest_idle_connection_makes_room(most: dict[str, Any]) -> None:
    with running_front(echo, **most) as front:
        peers = [front.connect() for _ in range(3)]
        peers[0].sendall(head("/a"))
        assert status_of(peers[0].recv(65536)) == 200
        with front.connect(head("/b")) as another:
            assert status_of(another.recv(65536)) == 200
        until(lambda: is_closed(peers[1]))
        assert not is_closed(peers[0]) and not is_closed(peers[2])
        for peer in peers:
            peer.close()


def test_connection_is_refused_when_all_are_busy() -> None:
    may_end = threading.Event()

    def held(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        assert may_end.wait(PATIENCE)
        return echo(environ, start_response)

    with running_front(held, per_address=1) as front, front.connect(head("/a")) as busy:
        until(lambda: front.server.server_state.tasks)
        answer = front.exchange(b"")
        assert_problem(answer, 503, "127.0.0.1 has 1 connections")
        assert b"retry-after: 1" in answer
        may_end.set()
        assert status_of(busy.recv(65536)) == 200
