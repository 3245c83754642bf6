"""Tests of connections against the real servers: what they say when all is well and when not."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from registry.connections.connection_check import CheckResult, is_expected, try_connection
from registry.connections.drivers.error_mapping import CheckFailure
from registry.connections.drivers.server_session import ServerAddress, ServerSession
from registry.connections.lifecycle import disable_connection, update_connection
from registry.connections.scheduled_checks import (
    record_check,
    run_due_tests,
    run_test,
    status_after,
)
from registry.connections.type_specs import parts_of
from registry.models import Connection, CredentialEvent
from tests.support import servers
from tests.support.connections import EDITOR, WebServer, make_connection, server_on
from tests.support.credentials import Reply, make_credential, serving
from tests.support.waiting import PATIENCE

# About what the hub talks to: its own database makes no difference.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.once,
]
WELL = CheckResult("something", True, "well")
ILL = CheckResult("something", False, "ill", "Do something.")


@pytest.fixture(scope="module")
def postgres() -> Iterator[servers.Postgres]:
    with servers.start_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server() -> Iterator[servers.Redis]:
    with servers.start_redis() as server:
        yield server


@pytest.fixture
def web() -> WebServer:
    return WebServer()


@pytest.fixture
def base(web: WebServer) -> Iterator[str]:
    with serving(web.answer) as url:
        yield url


def tried(connection: Connection) -> CheckResult:
    return try_connection(connection, actor="tester")


# --- HTTP ---


@pytest.mark.parametrize(
    ("status", "config", "success", "advice"),
    [
        (200, {}, True, ""),
        (204, {"expected_status": [200]}, False, "expected_status"),
        (404, {"expected_status": "200, 404"}, True, ""),
        (401, {}, False, "Link a credential"),
        (404, {}, False, "Check base_url, and test_path"),
        (302, {}, False, "redirects are not followed"),
        (429, {}, False, "asked too often"),
        (503, {}, False, "server itself has a problem"),
    ],
)
def test_an_http_server_is_asked_and_its_status_judged(
    web: WebServer, base: str, status: int, config: dict[str, Any], success: bool, advice: str
) -> None:
    web.reply = Reply(status, b"" if status == 204 else b"{}")
    trial = tried(make_connection(base_url=base, config=config))
    assert trial.success is success, trial
    assert str(status) in trial.answered
    assert advice in trial.advice


def test_graphql_is_asked_a_query(web: WebServer, base: str) -> None:
    found = make_connection("GRAPHQL", base_url=f"{base}/graphql")
    web.say({"data": {"__typename": "Query"}})
    assert tried(found).success
    method, path, _, body = web.requests[-1]
    assert (method, path, body) == ("POST", "/graphql", b'{"query":"{ __typename }"}')
    web.say({"errors": [{"message": "No such field"}], "data": None})
    trial = tried(found)
    assert not trial.success
    assert "No such field" in trial.answered
    web.say({"hello": "world"})
    assert "no answer of GraphQL" in tried(found).answered


def test_a_webhook_is_not_delivered_to_unless_it_says_so(web: WebServer, base: str) -> None:
    found = make_connection("WEBHOOK", base_url=base)
    web.reply = Reply(405, b"")
    with _answering_head(web) as url:
        assert tried(make_connection("WEBHOOK", base_url=url)).success
        web.reply = Reply(404, b"")
        assert not tried(make_connection("WEBHOOK", base_url=url)).success
    web.reply = Reply(200, b"ok", **{"Content-Type": "text/plain"})
    config = {"test_method": "post", "test_body": {"event": "test"}}
    update_connection(found, {"config": config}, EDITOR)
    trial = tried(Connection.objects.get(pk=found.pk))
    assert (trial.success, trial.answered) == (True, '200: {"text": "ok"}')
    assert web.requests[-1][3] == b'{"event":"test"}'


@contextlib.contextmanager
def _answering_head(web: WebServer) -> Iterator[str]:
    """A server that answers one request after the other with the status alone."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line:
                    line.recv(65536)
                    said = f"HTTP/1.1 {web.reply.status} X\r\nContent-Length: 0\r\n"
                    line.sendall(f"{said}Connection: close\r\n\r\n".encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        # Closing alone does not wake who waits for a connection.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(PATIENCE)


def test_the_credential_goes_along_and_is_hidden_in_the_answer(web: WebServer, base: str) -> None:
    secret = make_credential("BEARER_TOKEN", allowed_origins=[base])
    found = make_connection(base_url=base, credential=secret.name)
    web.say({"you said": "Bearer bearer-0123456789"})
    trial = tried(found)
    assert web.requests[-1][2]["Authorization"] == "Bearer bearer-0123456789"
    assert trial.success
    assert "bearer-0123456789" not in trial.answered


# --- Databases, brokers, caches ---


def test_postgresql(postgres: servers.Postgres) -> None:
    found = make_connection(
        "DATABASE", port=postgres.port, database="postgres", username="postgres"
    )
    trial = tried(found)
    assert trial.success, trial
    assert trial.tried == f"PostgreSQL at 127.0.0.1:{postgres.port}"
    assert trial.answered.startswith("PostgreSQL ")
    assert "database 'postgres' as 'postgres'" in trial.answered
    missing = tried(make_connection("DATABASE", port=postgres.port, database="nothing"))
    assert not missing.success
    assert "Check the name of the database" in missing.advice
    plain = tried(make_connection("DATABASE", port=postgres.port, config={"tls": True}))
    assert not plain.success
    assert "TLS" in plain.advice


def test_mysql_or_mariadb() -> None:
    port = server_on(3306, "MariaDB")
    about = {"driver": "MARIADB", "port": port}
    well = tried(make_connection("DATABASE", **about, username="root", database="test"))
    assert well.success, well
    assert "database 'test'" in well.answered
    missing = tried(make_connection("DATABASE", **about, username="root", database="nothing"))
    assert "Check the name of the database" in missing.advice
    plain = tried(make_connection("DATABASE", **about, username="root", config={"tls": True}))
    assert not plain.success
    assert "TLS" in plain.advice


def test_a_wrong_password_is_said_and_not_shown() -> None:
    port = server_on(3306, "MariaDB")
    login = make_credential(
        "BASIC_AUTH",
        attributes={"username": "root"},
        allowed_origins=[f"mysql://127.0.0.1:{port}"],
        secret={"password": "wrong-0123456789"},
    )
    found = make_connection("DATABASE", driver="MYSQL", port=port, credential=login.name)
    trial = tried(found)
    assert not trial.success
    assert "Check the user name and the secret" in trial.advice
    assert "wrong-0123456789" not in str(trial)
    entry = CredentialEvent.objects.of(login).first()
    assert entry is not None
    assert (entry.kind, entry.subject) == ("USED", f"connection {found.name}")


def test_a_password_goes_only_to_its_origins(redis_server: servers.Redis) -> None:
    login = make_credential("BASIC_AUTH", allowed_origins=["redis://127.0.0.1:1"])
    found = make_connection("CACHE", port=redis_server.port, credential=login.name)
    trial = tried(found)
    assert not trial.success
    assert "none of its allowed origins" in trial.answered
    assert "Look at the credential" in trial.advice
    assert CredentialEvent.objects.of(login).filter(kind="DENIED").exists()


def test_amqp() -> None:
    port = server_on(5672, "RabbitMQ")
    well = tried(make_connection("MESSAGE_BROKER", port=port))
    assert well.success, well
    assert "a message was sent and came back" in well.answered
    for config, word in (({"vhost": "nothing"}, "virtual host"), ({"queue": "nothing"}, "queue")):
        trial = tried(make_connection("MESSAGE_BROKER", port=port, config=config))
        assert not trial.success
        assert word in trial.advice


@pytest.mark.parametrize("type", ["CACHE", "MESSAGE_BROKER"])
def test_redis(redis_server: servers.Redis, type: str) -> None:
    about = {"driver": "REDIS", "port": redis_server.port}
    well = tried(make_connection(type, **about))
    assert well.success, well
    assert "what was sent came back" in well.answered
    missing = tried(make_connection(type, **about, database="999"))
    assert "Check the name of the database" in missing.advice


def test_a_test_of_redis_leaves_nothing_behind(redis_server: servers.Redis) -> None:
    import redis

    with redis.Redis(port=redis_server.port) as client:
        client.flushdb()
        for type in ("CACHE", "MESSAGE_BROKER"):
            assert tried(make_connection(type, driver="REDIS", port=redis_server.port)).success
        assert client.dbsize() == 0


SERVERS = [
    ("DATABASE", "POSTGRESQL"), ("DATABASE", "MYSQL"), ("MESSAGE_BROKER", "AMQP"),
    ("MESSAGE_BROKER", "REDIS"), ("CACHE", "REDIS"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "driver"), SERVERS)
def test_nothing_listens(type: str, driver: str) -> None:
    trial = tried(make_connection(type, driver=driver, port=servers.free_port()))
    assert not trial.success
    assert "Nothing listens there" in trial.advice


@pytest.mark.parametrize(("type", "driver"), SERVERS)
@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_hangs_or_drips_is_given_up(type: str, driver: str, drips: bool) -> None:
    with _hanging(drips=drips) as port:
        found = make_connection(type, driver=driver, port=port, config={"timeout_seconds": 0.5})
        trial = tried(found)
    assert not trial.success, trial
    if not drips:  # what drips may be taken for nonsense first
        assert trial.answered == "No answer in time."
        assert "firewall" in trial.advice


@contextlib.contextmanager
def _hanging(*, drips: bool) -> Iterator[int]:
    """A server that takes connections and says nothing, or a byte now and then."""
    server = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line:
                    while not ending.wait(0.05):
                        if drips:
                            line.sendall(b"\x01")

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        ending.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_an_address_that_is_ruled_out_is_not_dialled() -> None:
    def resolve_elsewhere(host: str, port: int) -> list[str]:
        from registry.network.dialer import checked_addresses

        answers = [(0, 0, 0, "", ("169.254.169.254", port))]
        return checked_addresses(host, port, look_up=lambda *_, **__: answers)

    from registry.connections.drivers import check_server

    for type, driver in SERVERS:
        with ServerSession(
            ServerAddress("innocent.example", 5432), resolve=resolve_elsewhere
        ) as session:
            with pytest.raises(CheckFailure, match="link-local") as caught:
                check_server(session, type=type, driver=driver)
            assert caught.value.kind == "address"


def test_what_a_server_answers_can_be_kept_whatever_it_is() -> None:
    # What MySQL says first, with an error of its own making.
    text = b"\xff\x15\x04no\x00thing\x1b[31m \xed\xa0\x80"
    packet = len(text).to_bytes(3, "little") + b"\x00" + text
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        line, _ = server.accept()
        with line:
            line.sendall(packet)
            line.recv(1000)

    thread = threading.Thread(target=answer)
    thread.start()
    found = make_connection("DATABASE", driver="MYSQL", port=server.getsockname()[1])
    said = run_test(found, actor="tester")
    thread.join()
    server.close()
    assert said["answered"].startswith("no thing [31m")
    found.refresh_from_db()
    assert found.last_result == said


# --- What a test means ---


@pytest.mark.parametrize(
    ("was", "failures", "trial", "after"),
    [
        ("PENDING", 0, WELL, "CONNECTED"),
        ("ERROR", 0, WELL, "CONNECTED"),
        ("CONNECTED", 0, CheckResult("x", True, "late", slow=True), "DEGRADED"),
        ("PENDING", 1, ILL, "ERROR"),
        ("CONNECTED", 1, ILL, "DEGRADED"),
        ("DEGRADED", 2, ILL, "DEGRADED"),
        ("DEGRADED", 3, ILL, "ERROR"),
        ("ERROR", 9, ILL, "ERROR"),
    ],
)
def test_the_status_after_a_test(was: str, failures: int, trial: CheckResult, after: str) -> None:
    assert status_after(was, failures, trial) == after


def test_a_connection_that_worked_is_in_error_after_three_failures() -> None:
    found = make_connection()
    statuses = []
    for trial in (WELL, ILL, ILL, ILL, WELL):
        found.refresh_from_db()
        statuses.append(record_check(found, trial, now=timezone.now())["status"])
    assert statuses == ["CONNECTED", "DEGRADED", "DEGRADED", "ERROR", "CONNECTED"]


def test_what_was_changed_while_it_was_tested_keeps_its_status() -> None:
    found = make_connection()
    update_connection(found, {"base_url": "http://127.0.0.1:10"}, EDITOR)
    assert record_check(found, WELL, now=timezone.now())["status"] == "CONNECTED"
    row = Connection.objects.get(pk=found.pk)
    assert (row.status, row.last_result) == ("PENDING", {})


# --- By themselves ---


def test_due_connections_are_tested_once_and_again_after_their_interval() -> None:
    found = make_connection(check_interval_seconds=60)
    make_connection(check_interval_seconds=0)
    asked: list[str] = []

    def attempt(row: Connection) -> CheckResult:
        asked.append(row.name)
        return WELL

    now = timezone.now()
    assert run_due_tests(now=now, attempt=attempt) == 1
    assert run_due_tests(now=now, attempt=attempt) == 0
    assert run_due_tests(now=now + timedelta(seconds=61), attempt=attempt) == 1
    assert asked == [found.name, found.name]
    found.refresh_from_db()
    assert found.status == "CONNECTED"


def test_two_sweeps_at_once_test_each_connection_once() -> None:
    names = {make_connection().name for _ in range(10)}
    asked: list[str] = []

    def attempt(row: Connection) -> CheckResult:
        asked.append(row.name)
        return WELL

    now = timezone.now()

    def sweep() -> None:
        from django.db import connections

        try:
            run_due_tests(now=now, attempt=attempt)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == sorted(names)


def test_a_sweep_is_bounded_and_one_that_fails_stops_no_other() -> None:
    for _ in range(5):
        make_connection()
    asked: list[str] = []

    def attempt(row: Connection) -> CheckResult:
        asked.append(row.name)
        if len(asked) == 1:
            raise RuntimeError("a fault of ours")
        return WELL

    assert run_due_tests(now=timezone.now(), limit=3, attempt=attempt) == 3
    assert len(asked) == 3
    assert Connection.objects.filter(status="CONNECTED").count() == 2


def test_what_is_switched_off_is_not_tested() -> None:
    found = make_connection()
    disable_connection(found, reason="No.", actor="tester")
    assert run_due_tests(now=timezone.now(), attempt=lambda row: WELL) == 0


def test_a_change_makes_it_due_at_once() -> None:
    found = make_connection(check_interval_seconds=3600)
    now = timezone.now()
    assert run_due_tests(now=now, attempt=lambda row: WELL) == 1
    found.refresh_from_db()
    update_connection(found, {"base_url": "http://127.0.0.1:10"}, EDITOR)
    assert run_due_tests(now=timezone.now(), attempt=lambda row: WELL) == 1


def test_on_demand_and_by_itself_are_the_same(web: WebServer, base: str) -> None:
    found = make_connection(base_url=base)
    assert run_due_tests(now=timezone.now()) == 1
    found.refresh_from_db()
    by_itself = found.last_result
    on_demand = run_test(found, actor="tester")
    assert web.paths == ["GET /", "GET /"]
    for said in (by_itself, on_demand):
        assert (said["answered"], said["status"]) == ('200: {"well": true}', "CONNECTED")


def _said_to_be_well(help_text: str, method: str) -> set[int]:
    """The statuses that a help text takes for well where none are given."""
    default, _, by_post = help_text.partition("Empty: ")[2].partition("; of a test by POST, ")
    words = by_post if by_post and method == "POST" else default
    if between := re.match(r"(\d+) to (\d+)", words):
        return set(range(int(between[1]), int(between[2]) + 1))
    limit, *refused = map(int, re.findall(r"\d+", words))
    return set(range(200, limit)) - set(refused)


@pytest.mark.parametrize(
    ("type", "method"),
    [("HTTP", "GET"), ("HTTP", "HEAD"), ("WEBHOOK", "HEAD"), ("WEBHOOK", "GET"),
     ("WEBHOOK", "POST")],
)  # fmt: skip
def test_help_of_expected_status_says_what_a_test_takes_for_well(type: str, method: str) -> None:
    part = next(p for p in parts_of(type, "HTTP") if p.name == "expected_status")
    row = Connection(type=type, config={"test_method": method})
    well = {status for status in range(200, 600) if is_expected(row, status)}
    assert well == _said_to_be_well(part.help, method)
