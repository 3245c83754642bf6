"""The tables that no app owns: API keys, the audit trail, remembered answers, failed logins."""

from core.models.api_key import ApiKey, KeyState
from core.models.audit import ActorKind, AuditEntry, AuditVerb
from core.models.idempotency import IdempotencyRecord
from core.models.login import LoginFailure

__all__ = [
    "ActorKind",
    "ApiKey",
    "AuditEntry",
    "AuditVerb",
    "IdempotencyRecord",
    "KeyState",
    "LoginFailure",
]
