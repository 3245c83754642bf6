"""The tables that no app owns: API keys, the audit trail, answers, logins, old calls, files."""

from core.models.api_key import ApiKey, KeyState
from core.models.audit import ActorKind, AuditEntry, AuditVerb
from core.models.idempotency import IdempotencyRecord
from core.models.legacy_call import LegacyCall
from core.models.login import LoginFailure
from core.models.managed import ManagedObject

__all__ = [
    "ActorKind",
    "ApiKey",
    "AuditEntry",
    "AuditVerb",
    "IdempotencyRecord",
    "KeyState",
    "LegacyCall",
    "LoginFailure",
    "ManagedObject",
]
