"""Which tables are recognised, by what they are called and what they have."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db.models import CheckConstraint

from integration_site.adoption.catalogue import Catalogue, Column, Table
from integration_site.adoption.set_aside import hub_tables
from integration_site.adoption.shapes import KINDS, Kind, check_name, recognise

MODELS = {model._meta.db_table: model for model in apps.get_models()}
# What the hub calls a column, and the constraint of it.
RENAMED = {"workflow_execution_workflow_type_check": "workflow_execution_type_check"}


def table(name: str, columns: frozenset[str] | tuple[str, ...]) -> Table:
    return Table(name, tuple(Column(column, "text") for column in sorted(columns)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_table_is_recognised_in_either_number_and_any_case(kind: Kind) -> None:
    for name in filter(None, (kind.name, kind.plural, kind.name.upper())):
        tables = (table(name, kind.needs | {"id"}),)
        recognised, _ = recognise(Catalogue("x", "sqlite", tables))
        assert [each.kind for each in recognised] == [kind]


@pytest.mark.parametrize("name", sorted(hub_tables() & MODELS.keys()))
def test_no_table_of_the_hub_is_taken_for_an_earlier_one(name: str) -> None:
    columns = tuple(str(field.column) for field in MODELS[name]._meta.concrete_fields)
    recognised, _ = recognise(Catalogue("x", "sqlite", (table(name, columns),)))
    assert not recognised


def test_another_table_where_the_hubs_goes_is_in_the_way() -> None:
    tables = (table("audit_entry", ("id", "who")), table("elsewhere", ("id",)))
    recognised, in_the_way = recognise(Catalogue("x", "sqlite", tables), hub_tables=hub_tables())
    assert not recognised
    assert [each.name for each in in_the_way] == ["audit_entry"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.enums], ids=lambda k: k.name)
def test_what_it_becomes_is_guarded_by_the_constraint_of_the_documents(kind: Kind) -> None:
    constraints = MODELS[kind.name]._meta.constraints
    checks = {each.name for each in constraints if isinstance(each, CheckConstraint)}
    names = {check_name(kind.name, column) for column in kind.enums}
    assert {RENAMED.get(name, name) for name in names} <= checks


def test_a_table_that_stopped_a_hub_halfway_is_told_from_the_hubs() -> None:
    earlier = table("workflow_execution", ("workflow_id", "workflow_type"))
    tables = (earlier, table("audit_entry", ("id",)))
    catalogue = Catalogue("x", "sqlite", tables, has_hub=True)
    recognised, in_the_way = recognise(catalogue, hub_tables=hub_tables())
    assert [each.table for each in recognised] == [earlier]
    assert not in_the_way
