"""Emptying the test database between tests that commit."""

from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connection
from django.test import TransactionTestCase

from workflows.history.append_only import deletable_history

# What migrations filled, and no test changes.
KEPT = frozenset({"django_migrations", "django_content_type", "auth_permission"})
# Its stubs leave out what tests may want to do otherwise.
_cases: Any = TransactionTestCase
_flush = _cases._fixture_teardown


def use_quick_emptying() -> None:
    """Have Django empty only the tables that a test filled.

    Its own way empties all of them and makes content types and permissions anew: a third of a
    second on PostgreSQL, several hundred times.
    """
    _cases._fixture_teardown = _empty


def _empty(case: TransactionTestCase) -> None:
    try:
        filled = _filled_tables()
        if filled:
            with deletable_history(), connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    # Rows go in any order: nothing is left that could refer to them.
                    cursor.execute("SET LOCAL session_replication_role = replica")
                for table in filled:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
    except DatabaseError:
        connection.close()
        _flush(case)


def _filled_tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_which_are_filled())
        return [name for (name,) in cursor.fetchall()]


@lru_cache(maxsize=1)
def _which_are_filled() -> str:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(name)})"
        for name in sorted(set(names) - KEPT)
    )
