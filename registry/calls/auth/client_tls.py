"""Makes TLS contexts that show a client certificate."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator

from django.views.decorators.debug import sensitive_variables

from registry.calls.auth.loaded_credential import LoadedCredential
from registry.exceptions import CredentialError


@sensitive_variables()
def tls_context(credential: LoadedCredential, ca_bundle: str = "") -> ssl.SSLContext:
    """Return a context that shows the certificate.

    It trusts the authorities of the bundle, else those of the credential, else the system's.

    Raises:
        CredentialError: OpenSSL does not take the certificate or its key.
    """
    authorities = ca_bundle or credential.attributes.get("ca") or None
    try:
        context = ssl.create_default_context(cadata=authorities)
        with certificate_file(credential) as path:
            # Without a password OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(path, password=passphrase_of(credential))
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        raise CredentialError(
            f"The credential '{credential.name}' cannot be used. Its certificate or key is not"
            f" accepted: {reason}.",
            credential=credential.name,
        ) from None
    return context


def passphrase_of(credential: LoadedCredential) -> str:
    """Return what opens the private key; empty for one that is not encrypted."""
    passphrase = credential.secret.get("passphrase")
    return passphrase.reveal() if passphrase else ""


@sensitive_variables()
def certificate_file(credential: LoadedCredential) -> contextlib.AbstractContextManager[str]:
    """Yield a path to the certificate with its key, for as long as the block lasts."""
    text = credential.attributes["certificate"] + credential.secret["private_key"].reveal()
    return _private_file(text.encode())


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[str]:
    """Yield a path to the data that only this process can read, gone afterwards.

    OpenSSL's certificate chains are read from files only. On Linux the file is in memory and never
    on a disk; elsewhere it is one of mode 0600.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(prefix="certificate-") as file:
        file.write(data)
        file.flush()
        yield file.name
