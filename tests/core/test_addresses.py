"""One place has one name, and what cannot be called is refused on every path that takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as some

from core.addresses import BadAddress, normal_base_url, normal_host, normal_url, read_url
from core.exceptions import ValidationFailed
from integration_site.facade import get_facade
from monitoring.models import HealthCheck
from registry.connections.config_checks import headers
from registry.connections.lifecycle import create_connection
from registry.models import (
    CircuitBreakerState,
    Connection,
    Credential,
    Service,
    ServiceInstance,
)
from registry.models.address_fields import AddressField
from registry.services import Heartbeat, Registration, record_heartbeat
from tests import factories
from tests.support.connections import EDITOR
from tests.support.credentials import make_credential
from tests.support.resources import caller_with_all_scopes

once = pytest.mark.once
SPELLINGS = {
    "http://localhost:1": (
        "http://localhost:1/", "HTTP://localhost:1", "http://LOCALHOST:1", "http://localhost.:1",
        "http://localhost:0001", "http://localhost:1//", "http://localhost:1/.", "http://ⓛocalhost:1",
    ),
    "http://bank": ("http://bank:80", "http://BANK:80/", "HTTP://bank/a/.."),
    "https://bank": ("https://bank:443", "HTTPS://Bank:443/"),
    "https://bank:80": ("https://bank:80/",),
    "http://xn--bcher-kva.example": (
        "http://bücher.example", "http://BÜCHER.example/", "http://XN--BCHER-KVA.example:80",
        "http://bu\u0308cher.example",
    ),
    "http://[::1]:8000": ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::0001]:8000/"),
    "http://[2001:db8::a]": ("http://[2001:DB8:0::A]:80",),
    "http://127.0.0.1": ("http://127.0.0.1.", "http://127。0。0。1", "http://\uff11\uff12\uff17.0.0.1"),
    "http://bank/a%20b/~c": ("http://bank/x/../a%20b/%7Ec/", "http://bank/a%20b/%7ec"),
    "http://bank/%C3%A4": ("http://bank/ä", "http://bank/%c3%a4/"),
}  # fmt: skip
BAD = (
    "http://a..b", f"http://{'a' * 64}", "http://[v1.a]:80", "http://.a", "http://-a", "http://a-",
    "http://127.1", "http://2130706433", "http://0x7f.1", "http://a%41", "http://[fe80::1%25lo]",
    f"http://{'a.' * 130}a", "http://xn--a", "http://a:65536", "http://a:0", "http://u@a", "ftp://a",
    "http://a/%zz", "http://a/?b", "http://a/#b", "a", "http://a\\b", "http://a\u200b b",
)  # fmt: skip
# One of each rule, for every path.
WRONG = ("http://a..b", f"http://{'a' * 64}", "http://[v1.a]:80", "http://127.1")
NOT_CALLED = ("http://169.254.169.254/latest",)


@once
@pytest.mark.parametrize("form", SPELLINGS)
def test_every_spelling_has_the_one_form(form: str) -> None:
    assert {normal_base_url(text) for text in (form, *SPELLINGS[form])} == {form}


@once
@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("http://a/health/", "http://a/health/"),
        ("http://a/", "http://a"),
        ("http://a/b/./c/../d/.", "http://a/b/d/"),
        ("http://a/%2e%2E/b", "http://a/b"),
        ("http://a//b", "http://a//b"),
        ("http://a/%2f", "http://a/%2F"),
        ("http://a_b/{x}", "http://a_b/%7Bx%7D"),
    ],
)
def test_the_path_of_a_url_that_nothing_is_appended_to_stays(text: str, form: str) -> None:
    assert normal_url(text) == form


@once
@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_called_is_no_url(text: str) -> None:
    with pytest.raises(BadAddress, match=r"\w+"):
        normal_url(text)


@once
def test_longest_labels_and_urls() -> None:
    assert normal_host("a" * 63) == "a" * 63
    with pytest.raises(BadAddress, match="500 characters"):
        normal_url("http://a/" + "ä" * 200)


HOSTS = some.one_of(
    some.from_regex(r"[a-zA-Z0-9_.-]{1,20}", fullmatch=True),
    some.text(min_size=1, max_size=10),
    some.ip_addresses().map(lambda each: f"[{each}]" if each.version == 6 else str(each)),
)


@once
@given(HOSTS, some.integers(-1, 70_000), some.text(max_size=20))
def test_a_form_is_its_own_form_and_reads_as_the_same(host: str, port: int, path: str) -> None:
    try:
        form = normal_url(f"hTTp://{host}:{port}/{path}")
    except BadAddress:
        return
    assert normal_url(form) == form
    assert normal_base_url(normal_base_url(form)) == normal_base_url(form)
    assert form.isascii()
    assert read_url(form).host == normal_host(read_url(form).host)


# --- Every path that takes an address ---

Write = Callable[[str], Any]


class Refused(Exception):
    """A path refused, and named these fields."""

    def __init__(self, fields: Any) -> None:
        self.fields = set(fields)


def _sent(method: str, path: str, body: Any) -> None:
    answer = getattr(caller_with_all_scopes(), method)(path, body)
    if answer.status_code >= 400:
        assert answer.status_code == 400, answer.content
        raise Refused(answer.json()["errors"])


def _done(act: Callable[[], Any]) -> None:
    try:
        act()
    except ValidationFailed as error:
        raise Refused(error.errors) from error
    except ValidationError as error:
        raise Refused(error.message_dict) from error


def _posted_in_the_admin(page: str, form: dict[str, Any]) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    answer = client.post(page, form)
    if answer.status_code != 302:
        raise Refused(answer.context["adminform"].form.errors)


def _service() -> Service:
    return Service.objects.get(name="bank")


def _instance() -> ServiceInstance:
    return _service().instances.get()


SERVICES = "/registry/services"


def _instance_writers(field: str) -> dict[str, Write]:
    other = {"url": "http://127.0.0.1:2"} if field == "health_url" else {}
    added = {"name": "new", "url": "http://127.0.0.1:2"}

    def admin_adds(value: str) -> None:
        form = {"weight": 1, "ttl_seconds": 90, "metadata": "{}", "service": str(_service().pk)}
        page = reverse("admin:registry_serviceinstance_add")
        _posted_in_the_admin(page, {**form, **other, field: value})

    def admin_changes(value: str) -> None:
        form = {"weight": 1, "ttl_seconds": 90, "metadata": "{}"}
        page = reverse("admin:registry_serviceinstance_change", args=(_instance().pk,))
        _posted_in_the_admin(page, {**form, field: value})

    def admin_adds_service(value: str) -> None:
        page = reverse("admin:registry_service_add")
        form = {"name": "new", "type": "CUSTOM", "criticality": "NON_CRITICAL", "liveness": "AUTO"}
        _posted_in_the_admin(page, {**form, **other, field: value})

    def cleaned(value: str) -> None:
        row = _instance()
        setattr(row, field, value)
        row.full_clean()
        row.save()

    def by_facade(value: str) -> None:
        fields = {"instance_fields": {"health_url": value}} if other else {"url": value}
        get_facade().register_service(Registration(name="new", **{**other, **fields}))  # type: ignore[arg-type]

    found: dict[str, Write] = {
        "register": lambda value: _sent("post", SERVICES, {**added, field: value}),
        "refresh": lambda value: _sent("post", SERVICES, {**added, "name": "bank", field: value}),
        "put": lambda value: _sent("put", f"{SERVICES}/bank", {field: value}),
        "patch": lambda value: _sent("patch", f"{SERVICES}/bank", {field: value}),
        "short path": lambda value: _sent("patch", "/api/services/bank", {field: value}),
        "add instance": lambda value: _sent(
            "post", f"{SERVICES}/bank/instances", {**other, field: value}
        ),
        "admin adds": admin_adds,
        "admin adds a service": admin_adds_service,
        "full_clean": lambda value: _done(lambda: cleaned(value)),
        "facade": lambda value: _done(lambda: by_facade(value)),
    }
    if field == "health_url":
        return {**found, "admin changes": admin_changes}
    beat = f"{SERVICES}/bank/heartbeat"
    return {
        **found,
        "heartbeat": lambda value: _sent("post", beat, {"url": value}),
        "heartbeat by code": lambda value: _done(
            lambda: record_heartbeat(_service(), Heartbeat(url=value))
        ),
    }


def _connection_writers(field: str) -> dict[str, Write]:
    kind = {"type": "HTTP"} if field == "base_url" else {"type": "DATABASE"}
    name = "web" if field == "base_url" else "db"
    path = "/registry/connections"

    def in_admin(value: str) -> None:
        form = {
            "criticality": "NON_CRITICAL", "check_interval_seconds": "60", "limits": "{}",
            "breaker": "{}", "name": "new",
            **({"driver": "MYSQL", "username": "robot"} if field == "host" else {}),
        }  # fmt: skip
        page = reverse("admin:registry_connection_add")
        _posted_in_the_admin(page, {**form, **kind, field: value})

    def cleaned(value: str) -> None:
        row = Connection.objects.get(name=name)
        setattr(row, field, value)
        row.full_clean()
        row.save()

    return {
        "post": lambda value: _sent("post", path, {"name": "new", **kind, field: value}),
        "put": lambda value: _sent("put", f"{path}/{name}", {field: value}),
        "patch": lambda value: _sent("patch", f"{path}/{name}", {field: value}),
        "admin": in_admin,
        "full_clean": lambda value: _done(lambda: cleaned(value)),
    }


def _token_url_writers() -> dict[str, Write]:
    path = "/registry/credentials"

    def attributes(value: str) -> dict[str, Any]:
        return {"attributes": {"client_id": "hub", "token_url": value}}

    secret = {"secret": {"client_secret": "client secret"}}
    made = {"name": "new", "type": "OAUTH2_CLIENT_CREDENTIALS", "allowed_origins": [], **secret}
    return {
        "post": lambda value: _sent("post", path, {**made, **attributes(value)}),
        "patch": lambda value: _sent("patch", f"{path}/oauth", {**secret, **attributes(value)}),
    }


def _stored(model: Any, field: str) -> Callable[[], set[str]]:
    return lambda: set(model.objects.values_list(field, flat=True))


def _stored_token_urls() -> set[str]:
    return {row.attributes["token_url"] for row in Credential.objects.exclude(name="bearer")}


FIELDS: dict[tuple[Any, str], tuple[dict[str, Write], Callable[[], set[str]]]] = {
    (ServiceInstance, "url"): (_instance_writers("url"), _stored(ServiceInstance, "url")),
    (ServiceInstance, "health_url"): (
        _instance_writers("health_url"), _stored(ServiceInstance, "health_url"),
    ),
    (Connection, "base_url"): (_connection_writers("base_url"), _stored(Connection, "base_url")),
    (Connection, "host"): (_connection_writers("host"), _stored(Connection, "host")),
    (Credential, "attributes.token_url"): (_token_url_writers(), _stored_token_urls),
}  # fmt: skip
PATHS = [
    pytest.param(
        field, write, stored, "heartbeat" in name, id=f"{model.__name__}.{field} by {name}"
    )
    for (model, field), (writers, stored) in FIELDS.items()
    for name, write in writers.items()
]


@pytest.fixture
def _world() -> Iterator[None]:
    made = factories.caller().post(
        SERVICES, {"name": "bank", "url": "http://127.0.0.1:1", "ttl_seconds": 90}
    )
    assert made.status_code == 201
    create_connection({"name": "web", "type": "HTTP", "base_url": "http://127.0.0.1:1"}, EDITOR)
    create_connection({"name": "db", "type": "DATABASE", "host": "127.0.0.1"}, EDITOR)
    make_credential("OAUTH2_CLIENT_CREDENTIALS", name="oauth", allowed_origins=[])
    yield


def test_every_column_of_an_address_is_in_the_table() -> None:
    columns = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, AddressField)
        or (field.name.endswith(("url", "host")) and field.name != "source_url")
        if model is not HealthCheck  # its URLs have schemes of their own, such as tcp://
    }
    assert columns == {key for key in FIELDS if "." not in key[1]}


@pytest.mark.once
@pytest.mark.django_db
@pytest.mark.usefixtures("_world")
@pytest.mark.parametrize(("field", "write", "stored", "is_beat"), PATHS)
def test_every_path_refuses_what_cannot_be_called(
    field: str, write: Write, stored: Any, is_beat: bool
) -> None:
    before = stored()
    # A beat from where nothing is registered is 404, whether calls are allowed there or not.
    for text in WRONG if is_beat else (*WRONG, *NOT_CALLED):
        value = text.removeprefix("http://").partition("/")[0].removesuffix(":80")
        value = value if field == "host" else text
        User.objects.filter(username="root").delete()
        with pytest.raises(Refused) as refused:
            write(value)
        assert refused.value.fields == {field}, text
    assert stored() == before


@pytest.mark.django_db
@pytest.mark.usefixtures("_world")
@pytest.mark.parametrize(("field", "write", "stored", "is_beat"), PATHS)
def test_every_path_keeps_the_one_form(
    field: str, write: Write, stored: Any, is_beat: bool
) -> None:
    given, form = "HTTP://LOCALHOST:80/.", "http://localhost"
    if field == "host":
        given, form = "LOCALHOST.", "localhost"
    if is_beat:
        ServiceInstance.objects.update(url=form)
    write(given)
    assert form in stored()
    assert given not in stored()


@pytest.mark.django_db
def test_one_instance_however_it_is_spelled() -> None:
    api = factories.caller()
    for number, text in enumerate(("http://localhost:1", *SPELLINGS["http://localhost:1"])):
        answer = api.post(SERVICES, {"name": "bank", "url": text})
        assert answer.status_code == (200 if number else 201), text
        beat = api.post(f"{SERVICES}/bank/heartbeat", {"url": text})
        assert beat.status_code == 200, text
    assert [each["url"] for each in answer.json()["instances"]] == ["http://localhost:1"]
    assert api.post(f"{SERVICES}/bank/heartbeat").json()["status"] == "ONLINE"


@once
@pytest.mark.parametrize("name", ["authorization", " Authorization", "AUTHORIZATION\t"])
def test_a_header_that_says_who_calls_is_known_in_any_spelling(name: str) -> None:
    with pytest.raises(ValueError, match="says who calls"):
        headers({name: "a"})
    with pytest.raises(ValueError, match="twice"):
        headers({"X-A": "a", " x-a": "b"})


@pytest.mark.django_db
def test_the_orm_stores_and_finds_the_one_form() -> None:
    service = factories.make_service()
    row = ServiceInstance.objects.create(service=service, url="HTTP://Bücher.example:80/")
    assert row.url == "http://xn--bcher-kva.example"
    assert ServiceInstance.objects.get(url="http://BÜCHER.example").pk == row.pk
    ServiceInstance.objects.update(url="HTTP://x/")
    assert ServiceInstance.objects.get().url == "http://x"
    assert not ServiceInstance.objects.filter(url="nothing").exists()


# --- Rows from before ---


def _rewrite(row: Any, **columns: str) -> None:
    """Store what a field would bring into its one form."""
    from django.db import connection

    names = ", ".join(f"{name} = %s" for name in columns)
    with connection.cursor() as cursor:
        key = row.pk if connection.features.has_native_uuid_field else row.pk.hex
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET {names} WHERE id = %s", [*columns.values(), key]
        )


@pytest.mark.django_db(transaction=True)
def test_rows_from_before_are_brought_into_the_one_form_and_ghosts_merged() -> None:
    from importlib import import_module

    from django.apps import apps as registry_apps

    service = factories.make_service("bank", urls=("http://localhost:1",), status="DEGRADED")
    kept = service.instances.get()
    ghosts = [factories.make_instance(service, f"http://localhost:{n}") for n in (2, 3)]
    CircuitBreakerState.objects.create(instance=ghosts[0], state="FORCED_OPEN", reason="a")
    CircuitBreakerState.objects.create(instance=kept)
    other = factories.make_service("other", urls=("http://localhost:1",))
    ServiceInstance.objects.filter(pk=ghosts[0].pk).update(
        status="OFFLINE", last_heartbeat_at=None, metadata={"a": 1, "b": 1}
    )
    ServiceInstance.objects.filter(pk=ghosts[1].pk).update(last_heartbeat_at=None)
    ServiceInstance.objects.filter(pk=kept.pk).update(metadata={"b": 2})
    _rewrite(kept, url="http://LOCALHOST:1/")
    _rewrite(ghosts[0], url="http://localhost:1/")
    _rewrite(ghosts[1], url="http://a..b")
    connection = create_connection({"name": "db", "type": "DATABASE", "host": "127.0.0.1"}, EDITOR)
    _rewrite(connection, host="DB.Example.")
    migration = import_module("registry.migrations.0013_normal_addresses")
    migration.normalise_instances(registry_apps, None)
    migration.normalise_connections(registry_apps, None)
    rows = {row.url: row for row in service.instances.all()}
    assert set(rows) == {"http://localhost:1", "http://a..b"}
    merged = rows["http://localhost:1"]
    assert (merged.pk, merged.status, merged.metadata) == (kept.pk, "ONLINE", {"a": 1, "b": 2})
    assert CircuitBreakerState.objects.get(instance=merged).state == "FORCED_OPEN"
    assert other.instances.get().url == "http://localhost:1"
    connection.refresh_from_db()
    assert connection.host == "db.example"


@pytest.mark.slow
def test_the_migration_goes_back_and_forth(transactional_db: None) -> None:
    try:
        call_command("migrate", "registry", "0012", verbosity=0)
    finally:
        call_command("migrate", verbosity=0)
