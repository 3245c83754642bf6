"""Reserves the most that requests can use, and settles what they used.

All but `reserve_for` and `open_windows` need a transaction.

A window is changed by adding in the database alone, and by one statement for all that a request
holds, which locks them in the order of their ids: nobody passes a limit beside another, and no two
wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core.db.pipeline import one_statement, pipelined_transaction, prepared_cursor
from core.db.rows import insert_rows, insert_rows_if
from model_orchestration.limits import Hold
from model_orchestration.models import ModelBudget, QuotaWindow, Request

_AMOUNTS = ("tokens", "nanousd", "requests")
_TYPES = {
    "postgresql": {"id": "uuid", "number": "bigint", "text": "text", "time": "timestamptz"},
}


@dataclass(frozen=True, slots=True)
class Reserved:
    """A window that had room; what was used of it before, and of what it was warned."""

    id: UUID
    used_tokens: int
    used_nanousd: int
    used_requests: int


def reserve(holds: Sequence[Hold]) -> dict[UUID, Reserved]:
    """Hold what fits into its window beside what is used and reserved, and return these.

    Nothing fits where there is no window (`open_windows` makes them). What has no price fits
    wherever cost is bounded; rolling periods are counted one request after the other.
    """
    if not holds:
        return {}
    _lock_rolling(holds)
    rows = [_row_of(hold) for hold in holds]
    columns = ("id", *_AMOUNTS, *(f"most_{name}" for name in _AMOUNTS), "series", "since")
    kinds = ("id", *["number"] * 6, "text", "time")
    fits = " AND ".join(_fits(name) for name in _AMOUNTS)
    adds = ", ".join(f"reserved_{name} = w.reserved_{name} + h.{name}" for name in _AMOUNTS)
    table, join, condition = _locking()
    sql = f"""
        WITH {_values("h", columns, kinds, len(rows))}{table}
        UPDATE quota_window AS w SET {adds} FROM h{join} WHERE w.id = h.id{condition} AND {fits}
        RETURNING {_returned()}
        """
    with connection.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute(sql, [value for row in rows for value in row])
        return {_uuid(row[0]): Reserved(_uuid(row[0]), *row[1:]) for row in cursor.fetchall()}


def reserve_for(holds: Sequence[Hold], requests: Sequence[Request]) -> bool:
    """Hold all of it and store the requests, or do neither; return whether that was done.

    On PostgreSQL that is one statement, unless a rolling period has to be locked before.
    """
    if connection.vendor != "postgresql" or any(hold.window.since for hold in holds):
        with pipelined_transaction():
            if len(reserve(holds)) < len(holds):
                transaction.set_rollback(True)
                return False
            insert_rows(*requests)
        return True
    with one_statement():
        if not holds:
            insert_rows(*requests)
            return True
        return _reserve_at_once(holds, requests)


def _reserve_at_once(holds: Sequence[Hold], requests: Sequence[Request]) -> bool:
    columns = ("id", *_AMOUNTS, *(f"most_{name}" for name in _AMOUNTS))
    kinds = ("id", *["number"] * 6)
    counters = ", ".join(f"{kind}_{name}" for kind in ("used", "reserved") for name in _AMOUNTS)
    fits = " AND ".join(_fits_now(name) for name in _AMOUNTS)
    adds = ", ".join(f"reserved_{name} = w.reserved_{name} + h.{name}" for name in _AMOUNTS)
    # What is locked is read as it is now; what the statement sees otherwise may be older.
    parts = f"""
        {_values("h", columns, kinds, len(holds))},
        locked AS MATERIALIZED (SELECT id, {counters} FROM quota_window
            WHERE id IN (SELECT id FROM h) ORDER BY id FOR UPDATE),
        fitting AS MATERIALIZED (SELECT h.id FROM h JOIN locked w ON w.id = h.id WHERE {fits}),
        held AS (UPDATE quota_window AS w SET {adds} FROM h
            WHERE w.id = h.id AND (SELECT COUNT(*) FROM fitting) = {len(holds)} RETURNING w.id)
        """
    return insert_rows_if(
        requests,
        parts=parts,
        params=[value for hold in holds for value in _row_of(hold)[:-2]],
        condition=f"(SELECT COUNT(*) FROM held) = {len(holds)}",
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of an amount that was held of a window."""

    window: UUID
    tokens: int
    nanousd: int
    requests: int
    used_tokens: int
    used_nanousd: int
    used_requests: int

    @property
    def counts(self) -> bool:
        """Whether anything was used of the window."""
        return bool(self.used_tokens or self.used_nanousd or self.used_requests)

    def as_json(self) -> list[Any]:
        """Return what was used, for the record of the request."""
        return [str(self.window), self.used_tokens, self.used_nanousd, self.used_requests]


@dataclass(frozen=True, slots=True)
class UsedMore:
    """A window of which more was used: how much by now, and how much of that is new."""

    id: UUID
    used: Mapping[str, int]
    added: Mapping[str, int]


def settle(settlements: Iterable[Settlement]) -> list[UsedMore]:
    """Give back what was reserved and add what was used; also of windows that are over."""
    totals: dict[UUID, list[int]] = {}
    for each in settlements:
        total = totals.setdefault(each.window, [0] * 6)
        amounts = (
            each.tokens, each.nanousd, each.requests,
            each.used_tokens, each.used_nanousd, each.used_requests,
        )  # fmt: skip
        totals[each.window] = [a + b for a, b in zip(total, amounts, strict=True)]
    if not totals:
        return []
    columns = ("id", *_AMOUNTS, *(f"now_{name}" for name in _AMOUNTS))
    kinds = ("id", *["number"] * 6)
    changes = ", ".join(
        f"reserved_{name} = w.reserved_{name} - h.{name},"
        f" used_{name} = w.used_{name} + h.now_{name}"
        for name in _AMOUNTS
    )
    table, join, condition = _locking()
    sql = f"""
        WITH {_values("h", columns, kinds, len(totals))}{table}
        UPDATE quota_window AS w SET {changes} FROM h{join} WHERE w.id = h.id{condition}
        RETURNING {_returned()}
        """
    values = [value for key in sorted(totals) for value in (_raw(key), *totals[key])]
    with connection.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute(sql, values)
        rows = {_uuid(key): used for key, *used in cursor.fetchall()}
    return [
        UsedMore(
            key,
            dict(zip(_AMOUNTS, used, strict=True)),
            dict(zip(_AMOUNTS, totals[key][len(_AMOUNTS) :], strict=True)),
        )
        for key, used in rows.items()
    ]


def open_windows(holds: Sequence[Hold]) -> None:
    """Make the rows of windows that are new; who is first makes them for all.

    Not in a transaction that locks windows: they are locked in the order of their ids.
    """
    QuotaWindow.objects.bulk_create(
        (
            QuotaWindow(
                id=hold.window.id,
                series=hold.window.series,
                starts_at=hold.window.starts_at,
                ends_at=hold.window.ends_at,
                is_traceable=True,
            )
            for hold in holds
        ),
        ignore_conflicts=True,
    )


def _lock_rolling(holds: Sequence[Hold]) -> None:
    """Let one request after the other count a rolling period, whose pieces are several rows."""
    keys = {
        limit.budget_id for hold in holds if hold.window.since is not None for limit in hold.limits
    }
    if keys:
        rows = ModelBudget.objects.select_for_update().filter(pk__in=keys).order_by("pk")
        list(rows.values_list("pk"))


def _row_of(hold: Hold) -> tuple[Any, ...]:
    window = hold.window
    since = window.since
    return (
        _raw(window.id),
        hold.tokens,
        hold.nanousd,
        hold.requests,
        hold.least("tokens"),
        hold.least("nanousd"),
        hold.least("requests"),
        window.series,
        None if since is None else connection.ops.adapt_datetimefield_value(since),
    )


def _fits_now(name: str) -> str:
    """Return the condition that an amount fits into what is locked, which is no rolling period."""
    return (
        f"(h.most_{name} IS NULL OR h.{name} = 0 OR"
        f" w.used_{name} + w.reserved_{name} + h.{name} <= h.most_{name})"
    )


def _fits(name: str) -> str:
    """Return the condition that an amount fits; nothing fits always, whatever is used."""
    earlier = (
        f"COALESCE((SELECT SUM(o.used_{name} + o.reserved_{name}) FROM quota_window o"
        " WHERE o.series = h.series AND o.starts_at > h.since AND o.id <> w.id), 0)"
    )
    return (
        f"(h.most_{name} IS NULL OR h.{name} = 0 OR"
        f" w.used_{name} + w.reserved_{name} + {earlier} + h.{name} <= h.most_{name})"
    )


def _values(name: str, columns: Sequence[str], kinds: Sequence[str], rows: int) -> str:
    """Return a table of parameters; PostgreSQL is told their types."""
    types = _TYPES.get(connection.vendor)
    row = ", ".join(f"CAST(%s AS {types[kind]})" if types else "%s" for kind in kinds)
    return f"{name} ({', '.join(columns)}) AS (VALUES {', '.join([f'({row})'] * rows)})"


def _locking() -> tuple[str, str, str]:
    """Return what locks the rows in the order of their ids, as a table, a join and a condition.

    SQLite has one writer anyway.
    """
    if connection.vendor != "postgresql":
        return "", "", ""
    table = (
        ", locked AS MATERIALIZED (SELECT id FROM quota_window WHERE id IN (SELECT id FROM h)"
        " ORDER BY id FOR UPDATE)"
    )
    return table, ", locked", " AND locked.id = w.id"


def _returned() -> str:
    """Return the columns of a window that had room; SQLite knows no other table there."""
    table = "w." if connection.vendor == "postgresql" else ""
    return ", ".join(f"{table}{name}" for name in ("id", *(f"used_{n}" for n in _AMOUNTS)))


def _raw(key: UUID) -> Any:
    return key if connection.vendor == "postgresql" else key.hex


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
