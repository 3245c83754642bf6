"""Says why a server did not answer as it should."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable

from registry.exceptions import CredentialError
from registry.network.address_policy import AddressRefused

# Alerts of OpenSSL about the certificate that a server was shown, or misses.
_CLIENT_CERTIFICATE = re.compile(r"_ALERT_(UNKNOWN_CA|(BAD_|UNSUPPORTED_)?CERTIFICATE\w*)\Z")


class CheckFailure(Exception):
    """A check that failed: `kind` selects the advice, the text is what was answered."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


# Says what an error of a driver means, beside what it means as one of a socket or of TLS.
Explain = Callable[[Exception, CheckFailure], CheckFailure]


def to_check_failure(
    error: Exception,
    *,
    expired: bool = False,
    explain: Explain = lambda _, of_socket: of_socket,
) -> CheckFailure:
    """Return what an error means; `expired` when the time of the check was over."""
    if isinstance(error, CheckFailure):
        return error
    if expired:
        return CheckFailure("timeout", "No answer in time.")
    return explain(error, _of_socket(error))


def _of_socket(error: Exception) -> CheckFailure:
    """Return what an error of a socket or of TLS means; of kind protocol where it is neither."""
    for link in _chain(error):
        failure = _of_link(link)
        if failure is not None:
            return failure
    text = str(error).strip() or type(error).__name__
    return CheckFailure("protocol", text[:500])


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what it came from; drivers wrap the errors of sockets."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < 10:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _of_tls(error: ssl.SSLError) -> CheckFailure:
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CheckFailure(
            "certificate", f"The certificate is not accepted: {error.verify_message}."
        )
    if isinstance(error, ssl.SSLEOFError):
        return CheckFailure("broken", "The connection was closed in the middle of TLS.")
    if _CLIENT_CERTIFICATE.search(reason):
        return CheckFailure("client_certificate", f"The server refuses the client: {reason}.")
    return CheckFailure("tls", f"TLS failed: {reason}.")


def _of_link(error: BaseException) -> CheckFailure | None:
    if isinstance(error, AddressRefused):
        return CheckFailure("address", str(error))
    if isinstance(error, CredentialError):
        return CheckFailure("credential", error.message)
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, socket.gaierror):
        return CheckFailure("name", "The name has no address.")
    if isinstance(error, TimeoutError):
        return CheckFailure("timeout", "No answer in time.")
    if isinstance(error, ConnectionRefusedError):
        return CheckFailure("refused", "The connection was refused.")
    if isinstance(error, ConnectionError | EOFError):
        return CheckFailure("broken", "The connection was closed in the middle.")
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return CheckFailure("network", f"{error.strerror}.")
    return None
