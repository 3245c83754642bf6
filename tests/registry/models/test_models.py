"""Enum columns and other rules of the tables, of every app."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from core.db.uuid7 import uuid7
from core.db.vocabulary import EnumField, Vocabulary
from core.models import ApiKey
from monitoring.models import HealthCheck, MemoryState, Slo
from registry.models import (
    CircuitBreakerState,
    Connection,
    DiscoveryState,
    Service,
    ServiceAction,
    ServiceInstance,
)
from registry.models.address_fields import validate_service_url
from tests import factories

OWN_APPS = ("core", "registry", "workflows", "monitoring", "model_orchestration")
MODELS = [model for name in OWN_APPS for model in apps.get_app_config(name).get_models()]
ENUM_COLUMNS: list[tuple[Any, Any]] = [
    (model, field)
    for model in MODELS
    for field in model._meta.local_fields
    # One that may be empty has a narrower check of its own.
    if isinstance(field, EnumField) and not field.null
]
# What happened is not changed, whatever the value.
APPEND_ONLY = ("workflow_event", "audit_entry")
CHANGED_COLUMNS = [
    (model, field) for model, field in ENUM_COLUMNS if model._meta.db_table not in APPEND_ONLY
]


def words_of(field: Any) -> type[Vocabulary]:
    assert field.vocabulary is not None
    return field.vocabulary


# As the specification of its table names it.
NAMED_OTHERWISE = {"request_request_type_check": "request_type_check"}


def check_of(model: Any, field: Any) -> str:
    name = f"{model._meta.db_table}_{field.column}_check"
    return NAMED_OTHERWISE.get(name, name)


def insert_raw(model: Any, **values: Any) -> None:
    """INSERT a row as another program would, without Django's checks and foreign keys."""
    row = {}
    for field in model._meta.local_concrete_fields:
        if field.primary_key and isinstance(field, models.AutoField):
            continue
        row[field.column] = _plain_value(field)
    if model is CircuitBreakerState:
        row["connection_id"] = None  # it guards one of the two
    if model is HealthCheck:
        row["url"] = ""  # it looks at one of the two
    if model is Slo:
        row["threshold_ms"] = 1  # which one of latency needs
    row |= values
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("%s" for _ in row)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})', list(row.values())
        )


def _plain_value(field: Any) -> Any:
    if isinstance(field, EnumField):
        value: Any = None if field.null else words_of(field).values[0]
    elif isinstance(field, models.DateTimeField):
        value = timezone.now()
    elif field.is_relation or isinstance(field, models.UUIDField):
        value = uuid.uuid4()
    elif field.null:
        value = None
    elif isinstance(field, models.JSONField | models.BooleanField | models.FloatField):
        value = field.get_default()
    elif isinstance(field, models.IntegerField):
        value = 1
    else:
        value = uuid.uuid4().hex[: min(field.max_length or 8, 8)]
    target = field.target_field if field.is_relation else field
    return target.get_db_prep_save(value, connection)


@contextmanager
def without_foreign_keys() -> Iterator[None]:
    """Foreign keys are looked at when a transaction commits, and this one never does."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        yield
        transaction.set_rollback(True)


def takes(field: Any, write: Callable[..., object], *args: Any, **values: Any) -> bool:
    """Whether the database takes what is written; False where the check of that column refuses."""
    try:
        with transaction.atomic():
            write(*args, **values)
    except IntegrityError as error:
        assert check_of(field.model, field) in str(error).lower()
        return False
    return True


def execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_there_are_enum_columns() -> None:
    assert len(ENUM_COLUMNS) > 30


def test_every_enum_column_has_its_check_constraint() -> None:
    for model, field in ENUM_COLUMNS:
        name = check_of(model, field)
        (found,) = (c for c in model._meta.constraints if c.name == name)
        assert isinstance(found, models.CheckConstraint)
        allowed = [*words_of(field).values, *([""] if field.blank else [])]
        assert found.condition == models.Q(**{f"{field.name}__in": allowed})
        assert all(value == value.upper() for value in words_of(field).values), name
        assert max(len(value) for value in words_of(field).values) <= field.max_length, name


@pytest.mark.django_db
def test_raw_insert_of_a_wrong_value_fails_in_every_enum_column() -> None:
    taken = []
    for model, field in ENUM_COLUMNS:
        empty = () if field.blank else ("",)
        for wrong in ("NONSENSE", words_of(field).values[0].lower(), *empty):
            with without_foreign_keys():
                if takes(field, insert_raw, model, **{field.column: wrong}):
                    taken.append((model._meta.db_table, field.column, wrong))
    assert not taken


@pytest.mark.django_db
def test_update_to_a_wrong_value_fails_in_every_enum_column() -> None:
    taken = []
    for model, field in CHANGED_COLUMNS:
        statement = f'UPDATE "{model._meta.db_table}" SET "{field.column}" = %s'
        with without_foreign_keys():
            insert_raw(model)
            if takes(field, execute, statement, "nonsense"):
                taken.append((model._meta.db_table, field.column, "nonsense"))
            if takes(field, model.objects.update, **{field.name: "NONSENSE"}):
                taken.append((model._meta.db_table, field.column, "NONSENSE"))
    assert not taken


@pytest.mark.django_db
def test_every_allowed_value_can_be_stored() -> None:
    for model, field in CHANGED_COLUMNS:
        with without_foreign_keys():
            insert_raw(model)
            for value in words_of(field).values:
                assert model.objects.update(**{field.name: value}) == 1, (model, field, value)


def test_full_clean_takes_any_case_and_stores_upper_case() -> None:
    for _, field in ENUM_COLUMNS:
        for value in words_of(field).values:
            for written in (value, value.lower(), f"  {value.title()} "):
                assert field.clean(written, None) == value, field


def test_full_clean_refuses_with_the_allowed_values() -> None:
    for _, field in ENUM_COLUMNS:
        with pytest.raises(ValidationError) as caught:
            field.clean("nonsense", None)
        assert "'nonsense' is not allowed" in caught.value.messages[0]
        assert "Use one of: " in caught.value.messages[0]
        assert all(value in caught.value.messages[0] for value in words_of(field).values)


def test_forms_take_any_case_and_refuse_with_the_allowed_values() -> None:
    for _, field in ENUM_COLUMNS:
        form_field = field.formfield()
        assert isinstance(form_field, forms.ChoiceField)
        value = words_of(field).values[-1]
        assert form_field.clean(f" {value.lower()} ") == value
        with pytest.raises(ValidationError, match=f"Use one of: {words_of(field).values[0]}"):
            form_field.clean("nonsense")


ONE_ROW_ONLY = (DiscoveryState, MemoryState)
# Written by the thousand, and read by their number or by when something was seen.
LOGS = ("registry_change", "health_check_result")


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ONE_ROW_ONLY])
def test_tables_are_singular_and_have_uuid_keys_and_times(model: Any) -> None:
    assert not model._meta.db_table.removesuffix("_alias").endswith("s")
    names = {field.name for field in model._meta.fields}
    assert names & {"created_at", "checked_at"}
    if model._meta.db_table not in LOGS:
        assert isinstance(model._meta.pk, models.UUIDField)
        assert "updated_at" in names


@pytest.mark.django_db
def test_names_of_services_are_unique_in_any_case() -> None:
    Service.objects.create(name="Planner")
    with pytest.raises(IntegrityError), transaction.atomic():
        Service.objects.create(name="pLANNER")
    with pytest.raises(ValidationError, match="names ignore case"):
        Service(name="PLANNER").full_clean()


@pytest.mark.django_db
def test_names_of_connections_are_unique_in_any_case() -> None:
    Connection.objects.create(name="Orders", type="HTTP", base_url="http://a:1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Connection.objects.create(name="oRDERS", type="HTTP", base_url="http://a:2")


@pytest.mark.django_db
def test_a_circuit_guards_an_instance_or_a_connection_and_never_both_or_none() -> None:
    found = Connection.objects.create(name="orders", type="HTTP", base_url="http://a:1")
    instance = factories.make_service(urls=("http://a:1",)).instances.get()
    for wrong in ({}, {"connection": found, "instance": instance}):
        with pytest.raises(IntegrityError), transaction.atomic():
            CircuitBreakerState.objects.create(**wrong)
    CircuitBreakerState.objects.create(connection=found)
    CircuitBreakerState.objects.create(instance=instance)


@pytest.mark.django_db
def test_an_instance_is_unique_by_url_in_its_service() -> None:
    service = factories.make_service(urls=("http://a:1",))
    with pytest.raises(IntegrityError), transaction.atomic():
        ServiceInstance.objects.create(service=service, url="http://a:1")


@pytest.mark.parametrize(
    "url",
    [
        "http://my-service:8000", "https://example.org/api/v1", "http://[::1]:8000",
        "http://10.0.0.1", "HTTP://x".lower(), "http://bücher.example/ä",
    ],
)  # fmt: skip
def test_service_urls_that_can_be_called_are_taken(url: str) -> None:
    validate_service_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://x", "http://", "http:///path", "http://user@x", "http://u:p@x", "http://x?a=1",
        "http://x#a", "http://x:0", "http://x:65536", "http://x:", "http://x:abc", "http://a b",
        "http://[::1", "http://x\n", "http://x/\x01", "javascript:alert(1)", "//x", "http://\\x",
        "http://x/\x00", "http://:80",
    ],
)  # fmt: skip
def test_service_urls_that_cannot_be_called_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        validate_service_url(url)


def test_actions_refuse_what_is_no_json_schema() -> None:
    wrong: tuple[Any, ...] = ({"type": "x"}, {"$ref": "http://a.b/c"}, {"pattern": "("}, [], "")
    for schema in wrong:
        with pytest.raises(ValidationError):
            ServiceAction._meta.get_field("input_schema").clean(schema, None)


def test_time_ordered_ids_only_grow() -> None:
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {key.version for key in made} == {7}
    assert {key.variant for key in made} == {uuid.RFC_4122}


@pytest.mark.django_db
def test_api_keys_are_kept_as_digests() -> None:
    key, text = factories.make_key()
    kept = ApiKey.objects.values().get(pk=key.pk)
    assert text.split("_", 2)[2] not in str(kept)
    assert len(kept["digest"]) == 64


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("fd00::1", True),
        ("", False),
        ("unix", False),
    ],
)
def test_networks_of_a_key(address: str, allowed: bool) -> None:
    assert ApiKey(networks=["10.0.0.0/8", "fd00::/8"]).allows_address(address) is allowed
    assert ApiKey(networks=[]).allows_address(address)
