"""Signals on users, however they are changed: who may log in, and the entry of a new password."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models.signals import m2m_changed, pre_save

from core import audit
from core.models import AuditVerb

_DONE = ("post_add", "post_remove", "post_clear")


def connect_user_signals() -> None:
    """Have staff status follow from roles, and a new password leave an entry."""
    m2m_changed.connect(_on_groups, sender=User.groups.through, dispatch_uid="staff-by-groups")
    m2m_changed.connect(
        _on_permissions, sender=User.user_permissions.through, dispatch_uid="staff-by-permissions"
    )
    pre_save.connect(_record_new_password, sender=User, dispatch_uid="note-password")


def may_log_in(user: User) -> bool:
    """Return whether a person has anything to do in the admin: a role, single rights, or all."""
    return user.is_superuser or user.groups.exists() or user.user_permissions.exists()


def update_staff_status(user: User) -> None:
    """Bring the staff status of a person in line with what the person may do."""
    user.is_staff = may_log_in(user)
    # In the database whatever this copy of the row said.
    User.objects.filter(pk=user.pk).update(is_staff=user.is_staff)


def _on_groups(instance: Any, action: str, pk_set: set[Any] | None, **_: Any) -> None:
    if action in _DONE:
        for user in _changed_users(instance, pk_set):
            update_staff_status(user)


def _on_permissions(instance: Any, action: str, **_: Any) -> None:
    if action in _DONE and isinstance(instance, User):
        update_staff_status(instance)


def _changed_users(instance: Any, pk_set: set[Any] | None) -> Iterable[User]:
    """Return the people of a change of groups, from whichever side it was made."""
    if isinstance(instance, Group):
        return User.objects.filter(pk__in=pk_set or ())
    return (instance,)


def _record_new_password(instance: User, update_fields: Any, **_: Any) -> None:
    if instance._state.adding or (update_fields and "password" not in update_fields):
        return
    if audit.current_actor() is None:
        return
    before = User.objects.filter(pk=instance.pk).values_list("password", flat=True).first()
    if before != instance.password:
        audit.record(AuditVerb.PASSWORD_SET, instance)
