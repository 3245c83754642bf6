"""The kernel in the admin, and the parts that the admin of every app shares."""

from core.admin import api_key, audit, legacy_call

__all__ = ["api_key", "audit", "legacy_call"]
