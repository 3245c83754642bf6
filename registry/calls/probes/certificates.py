"""Reads when certificates end that a session of TLS was begun with."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from cryptography import x509


def end_of(session: Any) -> datetime | None:
    """Return when the first of the verified chain ends: of the leaf, where no chain is given.

    Before Python 3.13 none is.
    """
    if session is None:
        return None
    chain = getattr(session, "get_verified_chain", None)
    if chain is not None and (certificates := chain()):
        return min(
            x509.load_der_x509_certificate(each).not_valid_after_utc for each in certificates
        )
    leaf = session.getpeercert()
    if not leaf or "notAfter" not in leaf:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(leaf["notAfter"]), UTC)
