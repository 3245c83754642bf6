"""TLS of connections: the server's certificate and name are checked, by calls and by drivers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from socket import SHUT_RDWR, create_connection, create_server, socket
from typing import Any

import psycopg
import pytest

from registry.connections.connection_check import CheckResult, try_connection
from registry.exceptions import ServiceUnavailableError
from tests.support import servers
from tests.support.connections import WebServer, call_now, make_connection, server_on
from tests.support.credentials import make_credential, serving
from tests.support.tls import (
    AUTHORITY,
    SERVER,
    STRANGER,
    context_of,
    data_of,
    start_mariadb,
    switch_tls_on,
    wait_for,
)
from tests.support.waiting import PATIENCE

# About what the hub talks to: its own database makes no difference.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.once,
]


@contextlib.contextmanager
def tls_before(port: int) -> Iterator[int]:
    """A port that speaks TLS and hands on to a server that does not."""
    context, listener = context_of(SERVER), create_server(("127.0.0.1", 0))
    ending: list[socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                threading.Thread(target=hand_on, args=(line,), daemon=True).start()

    def hand_on(line: socket) -> None:
        with contextlib.suppress(OSError):
            outer = context.wrap_socket(line, server_side=True)
            inner = create_connection(("127.0.0.1", port))
            ending.extend((outer, inner))
            back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
            back.start()
            pump(outer, inner)
            back.join(PATIENCE)

    def pump(source: socket, target: socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(SHUT_RDWR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(SHUT_RDWR)
        listener.close()
        for line in ending:
            line.close()
        thread.join(PATIENCE)


def tried(type: str, *, host: str = "localhost", ca: str, **fields: Any) -> CheckResult:
    config = {"tls": True, "ca_bundle": ca}
    row = make_connection(type, host=host, config=config, **fields)
    return try_connection(row, actor="tester")


def check_certificates(type: str, **fields: Any) -> None:
    """All is well with the right authority and name, and nothing without one of them."""
    well = tried(type, ca=AUTHORITY.certificate, **fields)
    assert well.success, well
    for wrong in ({"ca": STRANGER.certificate}, {"ca": AUTHORITY.certificate, "host": "127.0.0.1"}):
        trial = tried(type, **wrong, **fields)
        assert not trial.success, trial
        assert "give the authority that signed it as ca_bundle" in trial.advice, trial


def test_redis_in_tls() -> None:
    with servers.start_redis() as server, tls_before(server.port) as port:
        check_certificates("CACHE", port=port)
        plain = make_connection("CACHE", port=port)
        assert not try_connection(plain, actor="tester").success


def test_amqp_in_tls() -> None:
    with tls_before(server_on(5672, "RabbitMQ")) as port:
        check_certificates("MESSAGE_BROKER", port=port)


def test_postgresql_in_tls() -> None:
    with servers.start_postgres() as server:
        switch_tls_on(server)
        check_certificates("DATABASE", port=server.port, username="postgres")


def test_mariadb_in_tls() -> None:
    with start_mariadb() as port:
        about = {"driver": "MYSQL", "port": port, "username": "robot"}
        check_certificates("DATABASE", **about)


def test_a_password_never_goes_to_postgresql_in_clear_text() -> None:
    with servers.start_postgres() as server:
        ask_for_password(server, "password")
        origin = f"postgresql://127.0.0.1:{server.port}"
        login = make_credential(
            "BASIC_AUTH",
            attributes={"username": "robot"},
            allowed_origins=[origin],
            secret={"password": "secret-0123456789"},
        )
        about = {"port": server.port, "database": "postgres", "credential": login.name}
        row = make_connection("DATABASE", **about)
        refused = try_connection(row, actor="tester")
        assert not refused.success
        assert "password" in refused.answered
        assert "secret-0123456789" not in refused.answered
        ask_for_password(server, "scram-sha-256")
        well = try_connection(row, actor="tester")
        assert well.success, well


def ask_for_password(server: servers.Postgres, method: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as made:
        if method == "password":
            made.execute("CREATE ROLE robot LOGIN PASSWORD 'secret-0123456789'")
        rules = f"host all robot 127.0.0.1/32 {method}\nhost all all 127.0.0.1/32 trust\n"
        (data_of(server) / "pg_hba.conf").write_text(rules)
        made.execute("SELECT pg_reload_conf()")
    refused = f"{server.dsn()} user=robot password=wrong require_auth={method}"

    def asks() -> None:
        try:
            psycopg.connect(refused).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise

    wait_for(asks)


def test_calls_trust_the_authority_of_their_connection() -> None:
    web = WebServer()
    with serving(web.answer, tls=context_of(SERVER)) as base:
        config = {"ca_bundle": AUTHORITY.certificate}
        well = make_connection(base_url=base, config=config)
        assert call_now(well, {"a": 1}).output == {"well": True}
        for stranger in ({}, {"ca_bundle": STRANGER.certificate}):
            row = make_connection(base_url=base, config=stranger)
            with pytest.raises(ServiceUnavailableError, match=r"(?i)certificate"):
                call_now(row, {"a": 1})
            trial = try_connection(row, actor="tester")
            assert "ca_bundle" in trial.advice, trial
    assert len(web.requests) == 1
