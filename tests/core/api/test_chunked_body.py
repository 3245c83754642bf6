"""Bodies of unknown length."""

from __future__ import annotations

import io
from typing import Any

import pytest

from core.api.chunked_body import read_chunked_bodies
from core.api.parsers import MAX_BODY_BYTES


def echo(environ: dict[str, Any], start_response: Any) -> tuple[str | None, bytes]:
    """What Django would read: as many bytes as the length says."""
    length = environ.get("CONTENT_LENGTH")
    return length, environ["wsgi.input"].read(int(length or 0))


@pytest.mark.parametrize(
    ("environ", "read"),
    [
        ({"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True}, ("5", b"[1,2]")),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, (None, b"")),
        ({"CONTENT_LENGTH": "3", "wsgi.input_terminated": True}, ("3", b"[1,")),
        ({"wsgi.input_terminated": True}, (None, b"")),
    ],
)
def test_chunked_bodies_get_a_length(environ: dict[str, Any], read: tuple[Any, bytes]) -> None:
    application = read_chunked_bodies(echo)
    assert application({**environ, "wsgi.input": io.BytesIO(b"[1,2]")}, None) == read


def test_no_more_is_read_than_shows_that_it_is_too_much() -> None:
    body = io.BytesIO(b"x" * (MAX_BODY_BYTES + 1000))
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    length, _ = read_chunked_bodies(echo)({**environ, "wsgi.input": body}, None)
    assert length == str(MAX_BODY_BYTES + 1)
    assert body.tell() == MAX_BODY_BYTES + 1
