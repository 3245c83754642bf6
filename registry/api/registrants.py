"""Who registers services over the API: the one reading of the rights of a caller."""

from __future__ import annotations

from typing import Any

from registry.policies.registering import Registrant
from registry.services.acceptance import registrant_with


def registrant_of(caller: Any) -> Registrant:
    """Return who registers: what the key or the person may, and what the key carries."""
    patterns = {"names": caller.service_names, "types": caller.service_types}
    return registrant_with(str(caller.name), caller.may, **patterns)
