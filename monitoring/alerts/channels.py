"""Channels are made, changed and deleted."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.views.decorators.debug import sensitive_variables

from core.configured_rows import create_row, delete_row, put_fields, update_row
from core.exceptions import ValidationFailed
from core.json.merge_patch import resolved
from core.timetables import CronRefused, zone_of
from core.vault import Secret
from monitoring.alerts.channel_types import check_config, check_secret, needs_secret
from monitoring.alerts.filters import read_subjects
from monitoring.alerts.quiet_hours import read_period
from monitoring.models import AlertChannel, ChannelType
from registry.credentials.sealing import hold_parts

logger = structlog.get_logger(__name__)

PLAIN = (
    "name", "description", "enabled", "min_severity", "services", "tags", "only_escalated",
    "send_resolved", "quiet_timezone", "quiet_min_severity", "group_wait_seconds",
    "group_interval_seconds", "repeat_seconds", "per_minute",
)  # fmt: skip
# They are read by rules of their own.
UNCHECKED = ("ciphertext", "key_id", "config")


def get_channel(reference: str) -> AlertChannel:
    """Return the channel of that id or name.

    Raises:
        NotFound: there is none.
    """
    return AlertChannel.objects.get_named(reference)


def create_channel(fields: Mapping[str, Any], *, actor: str) -> AlertChannel:
    """Make a channel; it is told of what is open already.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        VaultError: there is no key to seal the secret with.
    """
    channel = AlertChannel(type=ChannelType.parse(fields["type"]))
    create_row(channel, fields, _assign, unchecked=UNCHECKED)
    logger.info("channel_created", channel=channel.name, actor=actor)
    return channel


def update_channel(
    channel: AlertChannel, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> AlertChannel:
    """Change what is given; a secret that is given replaces the old one with all its parts.

    Raises:
        ValidationFailed: a field breaks a rule; or the type is another.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
        VaultError: there is no key to seal the secret with.
    """
    changed = update_row(channel, fields, _assign, if_unchanged=if_unchanged, unchecked=UNCHECKED)
    logger.info("channel_changed", channel=changed.name, actor=actor, fields=sorted(fields))
    return changed


def delete_channel(channel: AlertChannel, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a channel with its messages.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    delete_row(channel, if_unchanged=if_unchanged)
    logger.info("channel_deleted", channel=channel.name, actor=actor)


def check_channel_fields(channel: AlertChannel, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule, on a copy: nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
        VaultError: there is no key to seal the secret with.
    """
    put_fields(copy.copy(channel), fields, _assign, unchecked=UNCHECKED)


def _check_type(channel: AlertChannel, fields: Mapping[str, Any]) -> None:
    is_new = channel._state.adding
    if not is_new and "type" in fields and ChannelType.parse(fields["type"]) != channel.type:
        raise ValidationFailed.at("type", "The type stays: make another channel.")


def _assign(channel: AlertChannel, fields: Mapping[str, Any]) -> None:
    _check_type(channel, fields)
    fields = resolved(channel, fields)
    for name in PLAIN:
        if name in fields:
            setattr(channel, name, fields[name])
    if "subjects" in fields:
        channel.subjects = read_subjects(fields["subjects"])
    if "quiet_hours" in fields:
        channel.quiet_hours = _read_quiet_hours(fields["quiet_hours"])
    try:
        zone_of(channel.quiet_timezone)
    except CronRefused as error:
        raise ValidationFailed.at("quiet_timezone", str(error)) from None
    if "config" in fields or channel._state.adding:
        channel.config = check_config(channel.type, fields.get("config") or {})
    _assign_secret(channel, fields.get("secret"), was=channel.has_secret)
    if channel.type == ChannelType.EMAIL and channel.enabled and not settings.EMAIL_HOST:
        raise ValidationFailed.at(
            "type", "The hub knows no mail server: set EMAIL_HOST, or make it with enabled false."
        )


def _read_quiet_hours(texts: Sequence[str]) -> list[str]:
    read = []
    for place, text in enumerate(texts):
        try:
            read.append(str(read_period(text)))
        except ValueError as error:
            raise ValidationFailed.at(f"quiet_hours[{place}]", str(error)) from None
    return read


@sensitive_variables()
def _assign_secret(
    channel: AlertChannel, values: Mapping[str, Secret] | None, *, was: bool
) -> None:
    """Seal a secret that is given; refuse a channel that would be without one that it needs."""
    if not values and (was or not needs_secret(channel.type)):
        return
    hold_parts(channel, check_secret(channel.type, values or {}))
