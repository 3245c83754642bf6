"""What a schema does not know is found wherever it is, and nothing else is."""

from __future__ import annotations

import pytest

from core.unknown_fields import MOST_NAMED, enumerate_fields, fit, refusals_of, warning_of

PROJECT = {"type": "object", "properties": {"name": {"type": "string"}, "description": {}}}


def test_field_that_the_coordinator_does_not_expect():
    found = fit(PROJECT, {"name": "New Project", "status": "PLANNING"})
    assert found.known == {"name": "New Project"}
    assert found.unknown == ("status",)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {**PROJECT, "additionalProperties": True},
        {**PROJECT, "additionalProperties": {"type": "string"}},
        {**PROJECT, "patternProperties": {"^x-": {}}},
        {"anyOf": [PROJECT, {**PROJECT, "additionalProperties": True}]},
    ],
)
def test_schema_that_takes_any_field(schema):
    document = {"name": "a", "status": "PLANNING"}
    assert fit(schema, document) == fit({}, document)
    assert fit(schema, document).unknown == ()


def test_inside_objects_and_lists():
    schema = {"properties": {"tasks": {"items": PROJECT}, "owner": PROJECT, "raw": {}}}
    document = {
        "tasks": [{"name": "a"}, {"name": "b", "rank": 1}],
        "owner": {"name": "c", "e-mail": "d"},
        "raw": {"anything": 1},
    }
    found = fit(schema, document)
    assert found.unknown == ("tasks[1].rank", 'owner["e-mail"]')
    assert found.known == {
        "tasks": [{"name": "a"}, {"name": "b"}], "owner": {"name": "c"}, "raw": {"anything": 1},
    }  # fmt: skip


def test_what_a_schema_is_put_together_from():
    schema = {
        "$ref": "#/$defs/Project",
        "$defs": {
            "Project": {"allOf": [{"properties": {"name": {}}}, {"$ref": "#/$defs/Owned"}]},
            "Owned": {"properties": {"owner": {"$ref": "#/$defs/Owner"}}},
            "Owner": {"anyOf": [{"type": "null"}, {"properties": {"id": {}}}]},
        },
    }  # fmt: skip
    found = fit(schema, {"name": "a", "owner": {"id": 1, "x": 2}, "status": 3})
    assert found.unknown == ("owner.x", "status")


def test_schema_that_refers_to_itself():
    schema = {
        "properties": {"child": {"$ref": "#"}, "loop": {"allOf": [{"$ref": "#/properties/loop"}]}}
    }
    found = fit(schema, {"child": {"child": {"x": 1}}, "loop": {"y": 1}})
    assert found.unknown == ("child.child.x",)


def test_fields_of_the_path_are_known():
    assert fit(PROJECT, {"project_id": "1"}, also={"project_id"}).unknown == ()


def test_the_document_itself_is_left_alone():
    document = {"name": "a", "status": {"x": 1}}
    fit(PROJECT, document)
    assert document == {"name": "a", "status": {"x": 1}}


def test_warning_and_refusals_name_the_fields():
    assert warning_of((), "'x'") == []
    [warning] = warning_of(("status",), "'create_project' of 'project-coordinator'")
    assert warning == {
        "code": "unknown_fields",
        "message": "'create_project' of 'project-coordinator' does not know 'status': dropped.",
        "fields": ["status"],
    }
    assert refusals_of(("status",), "'a'") == {"status": ["'a' does not know this field."]}


def test_many_fields_are_counted():
    many = [f"f{i}" for i in range(MOST_NAMED + 5)]
    assert enumerate_fields(many).endswith("'f19' and 5 more")
    assert len(warning_of(many, "x")[0]["fields"]) == MOST_NAMED
