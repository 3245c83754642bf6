"""What a start says on a database that an earlier system used: one sentence, and no change."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from integration_site.adoption.inspection import Inspection, inspect_own
from integration_site.adoption.record import OWN, AdoptionRecord

COMMAND = "./dev adopt"


@dataclass(frozen=True)
class Notice:
    """A sentence, and whether the start has to end with it."""

    sentence: str
    stops: bool


def earlier_tables_notice() -> Notice | None:
    """Return what to say of the hub's own database; None where no earlier system was."""
    if AdoptionRecord.exists() and (steps := AdoptionRecord(OWN).steps()):
        return None if "finish" in steps else _of_begun()
    found = inspect_own()
    try:
        if not found.to_move:
            return None
        return Notice(_sentence(found), stops=found.blocks_hub)
    finally:
        found.source.close()


def _of_begun() -> Notice:
    return Notice(
        f"Taking over the earlier system's tables was begun and has not ended: run {COMMAND}"
        f" --apply to end it, or {COMMAND} --revert to undo it.",
        stops=True,
    )


def _sentence(found: Inspection) -> str:
    names = [table.name for table in found.to_move]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    rows = sum(table.rows for table in found.to_move)
    held = f"{rows:,} rows" if rows else "no rows"
    return (
        f"The database {connection.settings_dict['NAME']} has tables of an earlier system"
        f" ({shown}; {held}): see what becomes of them with {COMMAND} --inspect, and take them"
        f" over with {COMMAND} --apply."
    )
