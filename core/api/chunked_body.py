"""Bodies of unknown length."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from core.api.parsers import MAX_BODY_BYTES


def read_chunked_bodies(application: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a WSGI application, so that it sees chunked bodies with their length.

    Django takes a request without Content-Length for one without a body. One byte more than is
    allowed is read, for the parser to refuse.
    """

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        encoding = environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        # The server says so when its input ends with the body; else reading could wait for ever.
        if encoding == "chunked" and environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        return application(environ, start_response)

    return call
