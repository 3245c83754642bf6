"""The kernel took over tables of the registry: their rows, permissions and pages go along."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import Client

from core.db.moved_modules import FORMER_NAMES
from core.models import ApiKey
from tests import factories

MOVED = ("apikey", "auditentry", "idempotencyrecord")


def owners() -> set[str]:
    ContentType.objects.clear_cache()
    rows = ContentType.objects.filter(model__in=MOVED)
    return set(rows.values_list("app_label", flat=True))


@pytest.mark.slow
def test_the_tables_go_to_the_kernel_and_back_with_their_rows_and_permissions(
    transactional_db: None,
) -> None:
    key, _ = factories.make_key(name="kept")
    permission = Permission.objects.get(
        codename="view_apikey", content_type=ContentType.objects.get_for_model(ApiKey)
    )
    try:
        call_command("migrate", "core", "zero", verbosity=0)
        assert owners() == {"registry"}
    finally:
        call_command("migrate", verbosity=0)
    assert owners() == {"core"}
    permission.refresh_from_db()
    assert permission.content_type == ContentType.objects.get_for_model(ApiKey)
    assert ApiKey.objects.get() == key


@pytest.mark.django_db
def test_nothing_is_left_to_migrate() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("page", ["apikey/", "auditentry/?q=x", "apikey/add/"])
def test_pages_of_the_tables_are_found_where_they_were(admin_client: Client, page: str) -> None:
    answer = admin_client.get(f"/admin/registry/{page}")
    assert answer.headers["Location"] == f"/admin/core/{page}"
    assert admin_client.get(answer.headers["Location"]).status_code == 200


@pytest.mark.parametrize("name", sorted(FORMER_NAMES))
def test_landed_migrations_find_modules_by_former_names(name: str) -> None:
    for app in ("registry", "workflows", "monitoring"):
        import_module(f"{app}.migrations")
    module = import_module(name)
    for present in FORMER_NAMES[name]:
        public = [each for each in vars(import_module(present)) if not each.startswith("_")]
        assert all(hasattr(module, each) for each in public)


def test_former_names_are_only_those_that_migrations_use() -> None:
    root = Path(__file__).parents[2]
    text = "".join(path.read_text() for path in root.glob("*/migrations/0*.py"))
    assert [name for name in FORMER_NAMES if name not in text] == []
