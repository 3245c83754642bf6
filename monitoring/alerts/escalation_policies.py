"""Policies of escalation are made, changed and deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import structlog

from core.configured_rows import create_row, delete_row, put_fields, update_row
from core.exceptions import ValidationFailed
from core.json.merge_patch import resolved
from monitoring.alerts.filters import read_subjects
from monitoring.models import AlertChannel, EscalationPolicy

logger = structlog.get_logger(__name__)

PLAIN = ("name", "description", "enabled", "min_severity", "services", "tags")
# They are read by rules of their own.
UNCHECKED = ("levels",)
MEMBERS = ("after_minutes", "channels")
MOST_LEVELS = 10
MOST_CHANNELS = 20
LONGEST_MINUTES = 7 * 24 * 60
_LINE = re.compile(r"\s*(\d{1,6})\s*(?:min(?:utes)?)?\s*:\s*(.*)")


def get_policy(reference: str) -> EscalationPolicy:
    """Return the policy of that id or name.

    Raises:
        NotFound: there is none.
    """
    return EscalationPolicy.objects.get_named(reference)


def create_policy(fields: Mapping[str, Any], *, actor: str) -> EscalationPolicy:
    """Make a policy; what nobody sees to already is escalated, too.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    policy = create_row(EscalationPolicy(), fields, _assign, unchecked=UNCHECKED)
    logger.info("escalation_policy_created", policy=policy.name, actor=actor)
    return policy


def update_policy(
    policy: EscalationPolicy, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> EscalationPolicy:
    """Change what is given; levels are replaced as a whole, and those that were told stay told.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    changed = update_row(policy, fields, _assign, if_unchanged=if_unchanged, unchecked=UNCHECKED)
    logger.info("escalation_policy_changed", policy=changed.name, actor=actor)
    return changed


def delete_policy(policy: EscalationPolicy, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a policy; who was told by it is still told of the end.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    delete_row(policy, if_unchanged=if_unchanged)
    logger.info("escalation_policy_deleted", policy=policy.name, actor=actor)


def check_policy_fields(policy: EscalationPolicy, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    put_fields(policy, fields, _assign, unchecked=UNCHECKED)


def _assign(policy: EscalationPolicy, fields: Mapping[str, Any]) -> None:
    fields = resolved(policy, fields)
    for name in PLAIN:
        if name in fields:
            setattr(policy, name, fields[name])
    if "subjects" in fields:
        policy.subjects = read_subjects(fields["subjects"])
    if "levels" in fields or policy._state.adding:
        policy.levels = read_levels(fields.get("levels") or [])


def read_levels(given: Sequence[Any]) -> list[dict[str, Any]]:
    """Return levels as they are kept: channels by their ids.

    Raises:
        ValidationFailed: one is no object, comes before the one above it, or names no channel.
    """
    if not 0 < len(given) <= MOST_LEVELS:
        raise ValidationFailed.at("levels", f"Give 1 to {MOST_LEVELS} levels.")
    levels = [_read_level(each, f"levels[{place}]") for place, each in enumerate(given)]
    for place, (before, level) in enumerate(pairwise(levels), start=1):
        if level["after_minutes"] <= before["after_minutes"]:
            raise ValidationFailed.at(
                f"levels[{place}].after_minutes", "Must be more than of the level above."
            )
    return levels


def _read_level(given: Any, at: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        example = '{"after_minutes": 10, "channels": ["on-call"]}'
        raise ValidationFailed.at(at, f"Must be an object such as {example}.")
    if unknown := [name for name in given if name not in MEMBERS]:
        sentence = f"There is no such member. Known: {', '.join(MEMBERS)}."
        raise ValidationFailed.at(f"{at}.{str(unknown[0])[:100]}", sentence)
    minutes, names = given.get("after_minutes"), given.get("channels")
    is_number = isinstance(minutes, int) and not isinstance(minutes, bool)
    if not is_number or not 1 <= int(minutes or 0) <= LONGEST_MINUTES:
        raise ValidationFailed.at(
            f"{at}.after_minutes", f"Must be a whole number from 1 to {LONGEST_MINUTES}."
        )
    if not isinstance(names, list) or not 0 < len(names) <= MOST_CHANNELS:
        raise ValidationFailed.at(f"{at}.channels", f"Name 1 to {MOST_CHANNELS} channels.")
    found = [_read_channel(name, f"{at}.channels[{place}]") for place, name in enumerate(names)]
    return {"after_minutes": minutes, "channels": list(dict.fromkeys(found))}


def _read_channel(name: Any, at: str) -> str:
    if not isinstance(name, str):
        raise ValidationFailed.at(at, "Must be the id or name of a channel.")
    return str(AlertChannel.objects.get_given(at, name).pk)


def shown_levels(levels: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return levels with the names of their channels; without those that are gone."""
    keys = {key for level in levels for key in level["channels"]}
    rows = AlertChannel.objects.filter(pk__in=keys).values_list("pk", "name")
    names = {str(pk): name for pk, name in rows}
    return [
        {**level, "channels": [names[key] for key in level["channels"] if key in names]}
        for level in levels
    ]


def to_lines(levels: Sequence[Mapping[str, Any]]) -> str:
    """Return shown levels as a person writes them, one in each line (pure)."""
    return "\n".join(
        f"{level['after_minutes']}: {', '.join(level['channels'])}" for level in levels
    )


def from_lines(text: str) -> list[dict[str, Any]]:
    """Return the levels that a person wrote, not yet checked (pure).

    Raises:
        ValidationFailed: a line is none, such as "10: on-call".
    """
    levels = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValidationFailed.at(
                "levels", f"'{line[:60]}' is no level: write minutes: channels, such as 10: boss."
            )
        channels = [name.strip() for name in found[2].split(",") if name.strip()]
        levels.append({"after_minutes": int(found[1]), "channels": channels})
    return levels
