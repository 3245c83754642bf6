"""Objectives are made, changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from core.configured_rows import create_row, delete_row, put_fields, update_row
from core.exceptions import ValidationFailed
from core.json.merge_patch import resolved
from core.suggestions import did_you_mean
from monitoring.models import Slo, SloKind, SloSource
from registry.calls.call_counter import BOUNDS_MS
from registry.models import Service

logger = structlog.get_logger(__name__)

PLAIN = (
    "name", "description", "kind", "source", "action", "target", "window_days", "threshold_ms",
    "min_events", "enabled",
)  # fmt: skip
# The service is found, or refused, by what it is named.
UNCHECKED = ("service",)


def get_slo(reference: str) -> Slo:
    """Return the objective of that id or name.

    Raises:
        NotFound: there is none.
    """
    return Slo.objects.select_related("service").get_named(reference)


def create_slo(fields: Mapping[str, Any], *, actor: str) -> Slo:
    """Make an objective; what is looked at from now on counts.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    slo = create_row(Slo(), fields, _assign, unchecked=UNCHECKED)
    logger.info("slo_created", slo=slo.name, actor=actor)
    return slo


def update_slo(
    slo: Slo, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> Slo:
    """Change what is given; what was counted stays as it was counted.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    changed = update_row(slo, fields, _assign, if_unchanged=if_unchanged, unchecked=UNCHECKED)
    logger.info("slo_changed", slo=changed.name, actor=actor, fields=sorted(fields))
    return changed


def delete_slo(slo: Slo, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete an objective with what was counted for it.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    delete_row(slo, if_unchanged=if_unchanged)
    logger.info("slo_deleted", slo=slo.name, actor=actor)


def check_slo_fields(slo: Slo, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    put_fields(slo, fields, _assign, unchecked=UNCHECKED)


def _assign(slo: Slo, fields: Mapping[str, Any]) -> None:
    fields = resolved(slo, fields)
    if "service" in fields:
        slo.service = Service.objects.get_given("service", fields["service"])
    for name in PLAIN:
        if name in fields:
            setattr(slo, name, fields[name])
    if slo.kind == SloKind.LATENCY and slo.threshold_ms is None:
        raise ValidationFailed.at("threshold_ms", "Say within how many milliseconds is good.")
    _check_calls(slo)


def _check_calls(slo: Slo) -> None:
    """Hold an objective of calls to what is counted of them."""
    if slo.source == SloSource.LOOKS:
        if slo.action:
            raise ValidationFailed.at("action", "Looks have no action: let `source` be CALLS.")
        return
    if slo.kind == SloKind.LATENCY and slo.threshold_ms not in BOUNDS_MS:
        known = ", ".join(map(str, BOUNDS_MS))
        raise ValidationFailed.at("threshold_ms", f"Calls are counted within one of: {known}.")
    if not slo.action:
        return
    names = [*slo.service.actions.order_by("name").values_list("name", flat=True)]
    if slo.action not in names:
        hint = did_you_mean(slo.action, names)
        raise ValidationFailed.at("action", f"'{slo.service}' has no such action{hint}")
