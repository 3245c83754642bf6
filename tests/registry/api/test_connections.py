"""Connections over the API: made, changed, tested, switched off, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest

from core.api.known_keys import known_keys
from registry.models import (
    CircuitBreakerState,
    Connection,
    ConnectionStatus,
    ConnectionType,
    CredentialEvent,
)
from tests import factories
from tests.support.connections import WebServer, make_connection
from tests.support.credentials import make_credential, serving

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("shared_client", "keys_stay_known"),
]
LIST = "/registry/connections"
BODIES: dict[str, dict[str, Any]] = {
    "HTTP": {"base_url": "http://127.0.0.1:9/v1", "config": {"test_path": "/health"}},
    "GRAPHQL": {"base_url": "http://127.0.0.1:9/graphql", "config": {"test_query": "{ a }"}},
    "WEBHOOK": {"base_url": "http://127.0.0.1:9/hook"},
    "DATABASE": {
        "host": "127.0.0.1",
        "database": "orders",
        "driver": "mariadb",
        "username": "robot",
    },
    "MESSAGE_BROKER": {"host": "127.0.0.1", "config": {"vhost": "/", "queue": "orders"}},
    "CACHE": {"host": "127.0.0.1", "database": "1", "config": {"tls": True}},
}
PORTS = {"DATABASE": 3306, "MESSAGE_BROKER": 5672, "CACHE": 6379}


@pytest.fixture
def operator() -> Any:
    return factories.caller("OPERATOR", name="operator")


@pytest.fixture
def writer() -> Any:
    """May change connections and not use credentials."""
    return factories.caller("VIEWER", name="writer", scopes=["registry:read", "registry:write"])


def url(connection: Connection, *rest: str) -> str:
    return "/".join((LIST, str(connection.pk), *rest))


@pytest.mark.parametrize("type", ConnectionType.values)
def test_every_type_is_made_read_changed_and_deleted(operator: Any, type: str) -> None:
    made = operator.post(LIST, {"name": "Orders", "type": type.lower(), **BODIES[type]})
    assert made.status_code == 201, made.data
    assert (made.data["type"], made.data["status"]) == (type, "PENDING")
    assert made.data["port"] == PORTS.get(type)
    assert made.data["config"] == BODIES[type].get("config", {})
    read = operator.get(f"{LIST}/oRDERS")
    assert read.data == made.data
    changed = operator.patch(f"{LIST}/Orders", {"description": "New", "name": "orders 2"})
    assert changed.status_code == 200
    assert (changed.data["description"], changed.data["name"]) == ("New", "orders 2")
    assert changed.data["config"] == made.data["config"]
    assert operator.delete(f"{LIST}/{made.data['id']}").status_code == 204
    assert operator.get(f"{LIST}/{made.data['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "FTP"}, "type"),
        ({"type": "HTTP"}, "base_url"),
        ({"type": "HTTP", "base_url": "ftp://x"}, "base_url"),
        ({"type": "HTTP", "base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"type": "HTTP", "base_url": "http://a", "host": "b"}, "host"),
        ({"type": "HTTP", "base_url": "http://a", "driver": "redis"}, "driver"),
        ({"type": "DATABASE"}, "host"),
        ({"type": "DATABASE", "host": "a", "base_url": "http://a"}, "base_url"),
        ({"type": "DATABASE", "host": "a b"}, "host"),
        ({"type": "DATABASE", "host": "0x7f.1"}, "host"),
        ({"type": "DATABASE", "host": "127.0.0.1", "port": 0}, "port"),
        ({"type": "DATABASE", "host": "a", "driver": "oracle"}, "driver"),
        ({"type": "DATABASE", "host": "a", "config": {"vhost": "/"}}, "config.vhost"),
        ({"type": "DATABASE", "host": "a", "config": {"tls": "yes"}}, "config.tls"),
        ({"type": "DATABASE", "host": "a", "config": {"timeout_seconds": 0}},
         "config.timeout_seconds"),
        ({"type": "HTTP", "base_url": "http://a", "config": {"headers": {"Authorization": "x"}}},
         "config.headers"),
        *(
            ({"type": "HTTP", "base_url": "http://a", "config": {"headers": {name: "x"}}},
             "config.headers")
            for name in ("Private-Token", "apikey", "X_Access_Token", "COOKIE", "x_api_key",
                         "X-Amz-Security-Token", "Ocp-Apim-Subscription-Key", "X_Request_ID")
        ),
        ({"type": "HTTP", "base_url": "http://a", "config": {"ca_bundle": "x"}},
         "config.ca_bundle"),
        ({"type": "HTTP", "base_url": "http://a", "config": {"expected_status": [99]}},
         "config.expected_status"),
        ({"type": "HTTP", "base_url": "http://a", "config": {"test_path": "health"}},
         "config.test_path"),
        ({"type": "GRAPHQL", "base_url": "http://a", "config": {"test_query": "mutation { a }"}},
         "config.test_query"),
        *(
            ({"type": "GRAPHQL", "base_url": "http://a", "config": {"test_query": query}},
             "config.test_query")
            for query in ("# a\nmutation { a }", ",mutation{a}", "{ a } mutation b { c }",
                          "subscription { a }", "{ a", "type A { b: Int }", "{a" * 3000)
        ),
        ({"type": "DATABASE", "host": "a", "driver": "MYSQL"}, "username"),
        ({"type": "WEBHOOK", "base_url": "http://a", "config": {"test_body": {"a": 1}}},
         "config.test_body"),
        ({"type": "HTTP", "base_url": "http://a", "limits": {"per_second": 0}}, "limits"),
        ({"type": "HTTP", "base_url": "http://a", "limits": {"burst": 2}}, "limits"),
        ({"type": "HTTP", "base_url": "http://a", "breaker": {"nonsense": 2}}, "breaker"),
        ({"type": "HTTP", "base_url": "http://a", "check_interval_seconds": -1},
         "check_interval_seconds"),
        ({"type": "HTTP", "base_url": "http://a", "password": "x"}, "password"),
        ({"type": "HTTP", "base_url": "http://a", "credential": "nobody"}, "credential"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(operator: Any, body: dict[str, Any], field: str) -> None:
    answer = operator.post(LIST, {"name": "orders", **body})
    assert answer.status_code == 400, answer.data
    assert list(answer.data["errors"]) == [field]
    assert answer.data["errors"][field][0]
    assert not Connection.objects.exists()


def test_a_name_is_taken_once_in_any_case(operator: Any) -> None:
    make_connection(name="orders")
    answer = operator.post(LIST, {"name": "ORDERS", "type": "HTTP", "base_url": "http://a"})
    assert (answer.status_code, answer.data["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"x-a": "2"}, {"x-a": "2", "X-B": "1"}),
        ({"X-A": "2", "x-b": "2"}, {"X-A": "2", "x-b": "2"}),
        ({"x-a": None}, {"X-B": "1"}),
        ({" x-A ": "2"}, {"x-A": "2", "X-B": "1"}),
        ({"X-A": None, "x-a": "2"}, {"x-a": "2", "X-B": "1"}),
        ({"x-c": "2"}, {"X-A": "1", "X-B": "1", "x-c": "2"}),
    ],
)
def test_a_header_is_changed_by_its_name_in_any_case(
    operator: Any, change: dict[str, str | None], left: dict[str, str]
) -> None:
    found = make_connection(config={"headers": {"X-A": "1", "X-B": "1"}})
    answer = operator.patch(url(found), {"config": {"headers": change}})
    assert answer.status_code == 200, answer.data
    assert answer.data["config"]["headers"] == left


def test_a_header_that_is_given_twice_is_refused(operator: Any) -> None:
    found = make_connection(config={"headers": {"X-A": "1"}})
    answer = operator.patch(url(found), {"config": {"headers": {"X-A": "2", "x-a": "3"}}})
    assert list(answer.data["errors"]) == ["config.headers"]


def test_type_and_driver_stay(operator: Any) -> None:
    found = make_connection("DATABASE", driver="MYSQL")
    for field, value in (("type", "CACHE"), ("driver", "POSTGRESQL")):
        answer = operator.patch(url(found), {field: value})
        assert list(answer.data["errors"]) == [field]
    assert operator.patch(url(found), {"type": "database", "driver": "mysql"}).status_code == 200


def test_a_write_is_done_once_per_key_and_only_on_what_was_read(operator: Any) -> None:
    body = {"name": "orders", "type": "HTTP", "base_url": "http://127.0.0.1:9"}
    first = operator.post(LIST, body, HTTP_IDEMPOTENCY_KEY="one")
    again = operator.post(LIST, body, HTTP_IDEMPOTENCY_KEY="one")
    assert first.data == again.data
    assert again.headers["Idempotency-Replayed"] == "true"
    path = f"{LIST}/orders"
    tag = operator.get(path).headers["ETag"]
    assert operator.patch(path, {"description": "a"}, HTTP_IF_MATCH=tag).status_code == 200
    late = operator.patch(path, {"description": "b"}, HTTP_IF_MATCH=tag)
    assert (late.status_code, late.data["code"]) == (412, "precondition_failed")
    assert operator.delete(path, HTTP_IF_MATCH=tag).status_code == 412


def test_the_list_is_filtered_ordered_and_costs_the_same_for_many(
    operator: Any, django_assert_num_queries: Any
) -> None:
    credential = make_credential("BASIC_AUTH")
    make_connection(name="b", base_url="http://127.0.0.1:9/find-me")
    make_connection("CACHE", name="a", credential=credential.name)
    make_connection("WEBHOOK", name="c")

    def names(query: str) -> list[str]:
        return [item["name"] for item in operator.get(f"{LIST}?{query}").data["items"]]

    assert names("") == ["a", "b", "c"]
    assert names("ordering=-name") == ["c", "b", "a"]
    assert names("type=cache,webhook") == ["a", "c"]
    assert names("status=pending&driver=redis") == ["a"]
    assert names("search=FIND") == ["b"]
    assert names(f"credential={credential.name.upper()}") == ["a"]
    assert operator.get(f"{LIST}?type=nonsense").status_code == 400
    known_keys().forget()  # looking the key up is one of them
    with django_assert_num_queries(3):
        operator.get(LIST)


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("VIEWER", 200, 403), ("SERVICE", 200, 403), ("OPERATOR", 200, 201), ("AUDITOR", 200, 403)],
)
def test_who_may_read_and_write(role: str, reads: int, writes: int) -> None:
    client = factories.caller(role)
    body = {"name": "orders", "type": "HTTP", "base_url": "http://127.0.0.1:9"}
    assert client.get(LIST).status_code == reads
    assert client.post(LIST, body).status_code == writes
    found = make_connection()
    allowed = writes == 201
    assert (client.post(url(found, "test")).status_code == 200) is allowed
    disabled = client.post(url(found, "disable"), {"reason": "x"})
    assert (disabled.status_code == 200) is allowed


# --- Credentials ---


def test_linking_a_credential_takes_its_own_permission(writer: Any, operator: Any) -> None:
    credential = make_credential("BEARER_TOKEN", name="token")
    body = {"name": "orders", "type": "HTTP", "base_url": "http://127.0.0.1:9"}
    denied = writer.post(LIST, {**body, "credential": "token"})
    assert (denied.status_code, denied.data["code"]) == (403, "permission_denied")
    assert not Connection.objects.exists()
    assert operator.post(LIST, {**body, "credential": "token"}).data["credential"] == "token"
    assert writer.patch(f"{LIST}/orders", {"credential": None}).status_code == 403
    assert writer.patch(f"{LIST}/orders", {"description": "mine"}).status_code == 200
    entries = CredentialEvent.objects.of(credential).values_list("kind", "actor", "subject")
    assert ("DENIED", "writer", "connection orders") in entries
    assert ("LINKED", "operator", "connection orders") in entries


@pytest.mark.parametrize(
    "change",
    [
        {"host": "localhost"},
        {"port": 6380},
        {"database": "2"},
        {"config": None},
        {"config": {"tls": True, "ca_bundle": "pem"}},
    ],
)
def test_sending_a_credential_elsewhere_takes_the_permission_too(
    writer: Any, operator: Any, change: dict[str, Any]
) -> None:
    from tests.support.credentials import make_certificate

    if change.get("config"):
        change = {"config": {"tls": True, "ca_bundle": make_certificate("ca").certificate}}
    make_credential("BASIC_AUTH", name="login")
    found = make_connection("CACHE", credential="login", config={"tls": True})
    assert writer.patch(url(found), change).status_code == 403
    assert operator.patch(url(found), change).status_code == 200


def test_a_credential_has_to_suit_the_type(operator: Any) -> None:
    make_credential("BEARER_TOKEN", name="token")
    make_credential("BASIC_AUTH", name="login")
    body = {"name": "db", "type": "DATABASE", "host": "127.0.0.1"}
    answer = operator.post(LIST, {**body, "credential": "token"})
    assert "BASIC_AUTH" in answer.data["errors"]["credential"][0]
    answer = operator.post(LIST, {**body, "credential": "login", "username": "somebody"})
    assert list(answer.data["errors"]) == ["username"]
    assert operator.post(LIST, {**body, "credential": "login"}).status_code == 201


def test_a_linked_credential_is_not_deleted() -> None:
    keeper = factories.caller("SECRET_ADMIN")
    make_credential("BEARER_TOKEN", name="token")
    make_connection(name="orders", credential="token")
    answer = keeper.delete("/registry/credentials/token")
    assert answer.status_code == 409
    assert "connection orders" in answer.data["detail"]


# --- The kill switch ---


def test_a_connection_is_switched_off_and_on(operator: Any) -> None:
    found = make_connection(name="orders")
    assert operator.post(url(found, "disable"), {}).status_code == 400
    assert operator.post(url(found, "disable"), {"reason": "  "}).status_code == 400
    off = operator.post(url(found, "disable"), {"reason": "They asked us to stop."})
    assert off.data["status"] == ConnectionStatus.DISABLED
    assert (off.data["disabled_by"], off.data["disabled_reason"]) == (
        "operator", "They asked us to stop.",
    )  # fmt: skip
    refused = operator.post(url(found, "test"))
    assert (refused.status_code, refused.data["code"]) == (503, "connection_disabled")
    assert "They asked us to stop." in refused.data["detail"]
    changed = operator.patch(url(found), {"base_url": "http://127.0.0.1:10"})
    assert changed.data["status"] == ConnectionStatus.DISABLED
    on = operator.post(url(found, "enable"))
    assert (on.data["status"], on.data["disabled_at"], on.data["disabled_reason"]) == (
        "PENDING", None, "",
    )  # fmt: skip
    assert operator.post(url(found, "test")).status_code == 200


def test_the_circuit_of_a_connection_is_listed_beside_those_of_instances(operator: Any) -> None:
    found = make_connection(name="orders")
    instance = factories.make_service("stock", urls=("http://127.0.0.1:9",)).instances.get()
    CircuitBreakerState.objects.create(connection=found, state="OPEN", cause="It failed.")
    CircuitBreakerState.objects.create(instance=instance)
    items = operator.get("/health/circuit-breakers").data["items"]
    assert [(i["connection"], i["service"], i["url"]) for i in items] == [
        ("orders", None, "http://127.0.0.1:9"), (None, "stock", "http://127.0.0.1:9"),
    ]  # fmt: skip
    one = operator.get(f"/health/circuit-breakers/{found.pk}").data
    assert (one["connection_id"], one["instance_id"]) == (str(found.pk), None)
    assert operator.get("/health/circuit-breakers?connection=ORDERS").data["total"] == 1
    closed = operator.post(f"/health/circuit-breakers/{found.pk}/close", {"reason": "Mended."})
    assert closed.data["state"] == "CLOSED"
    statuses = operator.get("/health/system").data["circuit_breaker_statuses"]
    assert statuses == {"orders": "CLOSED", "stock at http://127.0.0.1:9": "CLOSED"}


# --- Tests ---


@pytest.mark.django_db(transaction=True)
def test_a_test_says_what_was_tried_and_answered_and_is_remembered(operator: Any) -> None:
    web = WebServer()
    with serving(web.answer) as base:
        found = make_connection(base_url=base, config={"test_path": "/health"})
        tag = operator.get(url(found)).headers["ETag"]
        answer = operator.post(url(found, "test"))
    assert answer.status_code == 200
    said = answer.data
    assert said["tried"] == f"GET {base}/health"
    assert said["answered"] == '200: {"well": true}'
    assert (said["success"], said["status"], said["advice"]) == (True, "CONNECTED", "")
    assert said["took_ms"] > 0
    read = operator.get(url(found))
    assert read.data["last_result"] == dict(said)
    assert (read.data["status"], read.data["last_error"]) == ("CONNECTED", "")
    change = {"description": "well"}
    changed = operator.patch(url(found), change, headers={"If-Match": tag})
    assert changed.status_code == 200  # nobody changed it meanwhile


@pytest.mark.django_db(transaction=True)
def test_a_failed_test_is_an_answer_with_advice(operator: Any) -> None:
    found = make_connection(base_url="http://127.0.0.1:9")
    said = operator.post(url(found, "test")).data
    assert (said["success"], said["status"]) == (False, "ERROR")
    assert "No connection" in said["answered"]
    assert "Nothing listens there" in said["advice"]
    assert operator.get(url(found)).data["last_error"] == said["answered"]


def test_what_a_service_may_be_limited_to(operator: Any) -> None:
    body = {"name": "limited", "type": "CUSTOM", "limits": {"per_second": 2, "burst": 4}}
    made = operator.post("/registry/services", body)
    assert made.data["limits"] == body["limits"]
    wrong = operator.patch("/registry/services/limited", {"limits": {"per_minute": 2}})
    assert list(wrong.data["errors"]) == ["limits"]
