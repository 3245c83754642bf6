"""Says why nothing usable came from a URL, in words for people (pure)."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def describe_connection_error(error: BaseException) -> str:
    """Return what an error of a socket, of TLS or of HTTP means, as a part of a sentence."""
    cause = _cause_of(error)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause)
    if isinstance(cause, socket.gaierror) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return _of_name(cause)
    if _number_of(cause) in _UNREACHABLE:
        return "no network leads to it"
    if _number_of(cause) == errno.ECONNREFUSED:
        return "it refused the connection"
    if isinstance(cause, TimeoutError) or _number_of(cause) == errno.ETIMEDOUT:
        return "it did not take the connection in time"
    if isinstance(error, aiohttp.ClientConnectionError | ConnectionError | EOFError):
        return "the connection broke"
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL cannot be asked"
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return "its answer is no HTTP"
    return str(error)[:300] or type(error).__name__


def _cause_of(error: BaseException) -> BaseException:
    """Return the error that aiohttp put its own around."""
    for name in ("certificate_error", "os_error"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            return inner
    return error


def _number_of(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _of_name(error: BaseException) -> str:
    if _number_of(error) == socket.EAI_AGAIN:
        return "its name cannot be looked up now"
    return "its name is not known"


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    return f"TLS failed ({error.reason or error})"
