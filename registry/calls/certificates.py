"""TLS with a client certificate."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator

from django.views.decorators.debug import sensitive_variables

from registry.calls.loading import LoadedCredential
from registry.exceptions import CredentialError


@sensitive_variables()
def tls_context(credential: LoadedCredential) -> ssl.SSLContext:
    """A context that shows the certificate, and trusts its authorities or those of the system.

    Raises:
        CredentialError: OpenSSL does not take the certificate or its key.
    """
    said = credential.attributes
    try:
        context = ssl.create_default_context(cadata=said.get("ca") or None)
        passphrase = credential.secret.get("passphrase")
        text = said["certificate"] + credential.secret["private_key"].reveal()
        with _private_file(text.encode()) as path:
            # Without a password OpenSSL would ask the terminal for that of an encrypted key.
            password = passphrase.reveal() if passphrase else ""
            context.load_cert_chain(path, password=password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        raise CredentialError(
            f"The credential '{credential.name}' cannot be used. Its certificate or key is not"
            f" accepted: {reason}.",
            credential=credential.name,
        ) from None
    return context


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[str]:
    """A path to the data that only this process can read, gone afterwards.

    OpenSSL's certificate chains are read from files only. On Linux the file is in memory and never
    on a disk; elsewhere it is one of mode 0600.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(prefix="certificate-") as file:
        file.write(data)
        file.flush()
        yield file.name
