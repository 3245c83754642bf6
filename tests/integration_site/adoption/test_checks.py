"""The database holds enum columns to their values, by constraints of the specified names."""

from __future__ import annotations

import pytest
from django.db import connection

from integration_site.adoption.shapes import BY_NAME

# As the documents name them, by table and column. Where these and the tables of the earlier system
# differ in a name (`circuit_breaker_state_check`), it is that of <table>_<column>_check.
SPECIFIED = {
    ("registered_service", "type"): "registered_service_type_check",
    ("registered_service", "status"): "registered_service_status_check",
    ("circuit_breaker_state", "state"): "circuit_breaker_state_state_check",
    ("workflow_execution", "workflow_type"): "workflow_execution_type_check",
    ("workflow_execution", "status"): "workflow_execution_status_check",
    ("workflow_step", "status"): "workflow_step_status_check",
    ("model", "status"): "model_status_check",
    ("model", "provider"): "model_provider_check",
    ("request", "request_type"): "request_type_check",
    ("request", "provider"): "request_provider_check",
    ("provider_quota", "provider"): "provider_quota_provider_check",
    ("integration", "type"): "integration_type_check",
    ("integration", "status"): "integration_status_check",
    ("connection", "type"): "connection_type_check",
    ("connection", "status"): "connection_status_check",
    ("credential", "type"): "credential_type_check",
}


def test_each_enum_column_of_the_earlier_system_is_specified() -> None:
    columns = {(kind.name, column) for kind in BY_NAME.values() for column in kind.enums}
    assert columns <= SPECIFIED.keys()


@pytest.mark.django_db
def test_the_tables_have_the_checks_that_are_specified() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("The names are those of PostgreSQL.")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE contype = 'c'"
        )
        present = {(table, name): text for table, name, text in cursor.fetchall()}
    for (table, column), name in SPECIFIED.items():
        text = present[table, name]
        kind = BY_NAME[table].enums.get(column, ())
        assert all(f"'{value}'" in text for value in kind), text
