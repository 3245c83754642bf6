"""Who registers services over the API: the one reading of the rights of a caller."""

from __future__ import annotations

from typing import Any

from core.api.plain_requests import PlainRequest
from core.audit import Actor
from registry.policies.registering import Registrant
from registry.services.acceptance import registrant_with
from registry.services.plain_changes import Applicant


def registrant_of(caller: Any) -> Registrant:
    """Return who registers: what the key or the person may, and what the key carries."""
    patterns = {"names": caller.service_names, "types": caller.service_types}
    return registrant_with(str(caller.name), caller.may, **patterns)


def applicant_of(request: PlainRequest) -> Applicant:
    """Return who registers or changes services by a request that Django does not see."""
    caller = request.caller
    return Applicant(
        registrant=registrant_of(caller),
        may_use_credentials=caller.may("credentials:use"),
        audited=Actor(kind=caller.kind, id=caller.id, name=caller.name),
        request_id=request.web.request_id,
    )
