"""A text from elsewhere is parsed as JSON by the strict parsers alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "core",
    "registry",
    "workflows",
    "monitoring",
    "model_orchestration",
    "integration_site",
    "reference_services",
    "client/src",
)
# Who parses by other means, and why that is no text from elsewhere.
REASONS = {
    "core/json/strict.py": "the strict parser",
    "client/src/service_integration_client/strict_json.py": "the strict parser of the client",
    "core/api/idempotency.py": "what this process rendered itself",
    "integration_site/adoption/conversion/values.py": "columns of another system, of which none"
    " may be lost",
    "integration_site/adoption/record.py": "what an adoption itself wrote",
    "integration_site/legacy/middleware.py": "what this process rendered itself",
    **{
        f"integration_site/adoption/conversion/{name}.py": "read by the function in values.py"
        for name in ("executions", "models", "services")
    },
    "integration_site/front/streaming.py": "what this process rendered itself",
    "core/api/preconditions.py": "what this process rendered itself",
    "monitoring/status_pages/keeping.py": "a file that the hub itself wrote",
    "model_orchestration/content_store.py": "what the hub itself wrote and sealed",
    "registry/credentials/sealing.py": "what the hub itself wrote and sealed",
    "core/db/json_lookups.py": "a column, and what is asked of it, both written by the hub",
    "core/json/schema.py": "what this process wrote itself, as the key of a cache",
    "workflows/catalog/__init__.py": "files of this repository",
    "workflows/engine/store/dialect.py": "a column, written by the hub",
    "integration_site/filesystem_broker.py": "files of the hub's own queue",
    "reference_services/demo_work.py": "a file that the demo itself wrote",
    "reference_services/reading.py": "what a process of the service's own said",
    "reference_services/store.py": "a column that the service itself wrote",
}  # fmt: skip
LIBRARIES = {"json", "simplejson", "orjson", "ujson", "rapidjson", "kombu.utils.json"}


def parsers_in(tree: ast.AST) -> Iterator[str]:
    """What in a module parses JSON: `json.loads`, `.json()` of an answer, an imported `loads`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("loads", "load", "JSONDecoder"):
            if isinstance(node.value, ast.Name) and node.value.id.endswith("json"):
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module in LIBRARIES:
            yield from (alias.name for alias in node.names if alias.name != "dumps")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            yield from [name] * name.endswith((".json", "JSONParser"))


def modules() -> Iterator[tuple[str, ast.AST]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def test_every_module_that_parses_json_otherwise_has_its_reason() -> None:
    found = {name: sorted(set(parsers_in(tree))) for name, tree in modules()}
    assert {name: uses for name, uses in found.items() if uses and name not in REASONS} == {}
    assert [name for name in REASONS if not found.get(name)] == []  # and none is left over


@pytest.mark.parametrize(
    "text",
    [
        "import json\njson.loads(x)",
        "from json import loads",
        "answer.json()",
        "import orjson\norjson.loads(b)",
        "json.JSONDecoder().decode(t)",
        "from kombu.utils.json import loads as read",
    ],
)
def test_the_search_finds_them(text: str) -> None:
    assert list(parsers_in(ast.parse(text)))


@pytest.mark.django_db
def test_no_form_of_the_admin_has_the_lax_field(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = User.objects.create_superuser("root")
    for model, model_admin in admin.site._registry.items():
        shown = [model_admin.get_form(request, change=True)]
        shown += [i.get_formset(request).form for i in model_admin.get_inline_instances(request)]
        fields = {name: field for form in shown for name, field in form.base_fields.items()}
        assert [n for n, f in fields.items() if isinstance(f, forms.JSONField)] == [], model
