"""Why a server did not answer as it should."""

from __future__ import annotations

import re
import socket
import ssl

from registry.exceptions import CredentialError
from registry.network.address_policy import AddressRefused

# What a server says of the certificate that it was shown, or misses, in the words of OpenSSL.
_OF_OURS = re.compile(r"_ALERT_(UNKNOWN_CA|(BAD_|UNSUPPORTED_)?CERTIFICATE\w*)\Z")


class CheckFailure(Exception):
    """A test that failed: `kind` selects the advice, the text is what was answered."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def to_check_failure(error: BaseException, *, expired: bool = False) -> CheckFailure:
    """What an error of a socket or of TLS means; `expired` when the time of the test was over."""
    if isinstance(error, CheckFailure):
        return error
    if expired:
        return CheckFailure("timeout", "No answer in time.")
    for link in _chain(error):
        known = _known(link)
        if known is not None:
            return known
    text = str(error).strip() or type(error).__name__
    return CheckFailure("protocol", text[:500])


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from; drivers wrap the errors of sockets."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found and len(found) < 10:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _of_tls(error: ssl.SSLError) -> CheckFailure:
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CheckFailure(
            "certificate", f"The certificate is not accepted: {error.verify_message}."
        )
    if isinstance(error, ssl.SSLEOFError):
        return CheckFailure("broken", "The connection was closed in the middle of TLS.")
    if _OF_OURS.search(reason):
        return CheckFailure("client_certificate", f"The server refuses the client: {reason}.")
    return CheckFailure("tls", f"TLS failed: {reason}.")


def _known(error: BaseException) -> CheckFailure | None:
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
