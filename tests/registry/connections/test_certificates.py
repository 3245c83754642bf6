"""Client certificates: databases, brokers and caches let in who shows one, and nobody else."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from core.exceptions import ValidationFailed
from registry.connections.connection_check import CheckResult, try_connection
from registry.connections.lifecycle import update_connection
from registry.exceptions import ServiceUnavailableError
from registry.models import Connection, Credential
from tests.support import servers
from tests.support.connections import EDITOR, WebServer, call_now, make_connection
from tests.support.credentials import Pair, make_certificate, make_credential, serving
from tests.support.tls import (
    AUTHORITY,
    STRANGER,
    context_of,
    data_of,
    start_mariadb,
    start_rabbitmq,
    start_redis_in_tls,
    switch_tls_on,
    wait_for,
)

# About what the hub talks to: its own database makes no difference.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.once,
]
KNOWN = make_certificate("known", issuer=AUTHORITY)
FOREIGN = make_certificate("known", issuer=STRANGER)
TLS = {"tls": True, "ca_bundle": AUTHORITY.certificate}


def certificate(origin: str, pair: Pair = KNOWN, **secret: str) -> Credential:
    return make_credential(
        "CLIENT_CERTIFICATE",
        name=f"certificate-{Credential.objects.count()}",
        attributes={"certificate": pair.certificate},
        allowed_origins=[origin],
        secret={"private_key": pair.key, **secret},
    )


def tried(type: str, credential: Credential | None, **fields: Any) -> CheckResult:
    linked = {"credential": credential.name} if credential else {}
    given = {"host": "localhost", "config": TLS, **fields, **linked}
    return try_connection(make_connection(type, **given), actor="tester")


def check_certificates(type: str, scheme: str, port: int, **fields: Any) -> CheckResult:
    """It lets the right certificate in, also with an encrypted key, and tells why none other."""
    origin, about = f"{scheme}://localhost:{port}", {"port": port, **fields}
    well = tried(type, certificate(origin), **about)
    assert well.success, well
    locked = KNOWN.encrypted_key("open sesame")
    opened = certificate(origin, private_key=locked, passphrase="open sesame")
    trial = tried(type, opened, **about)
    assert trial.success, trial
    for wrong in (None, certificate(origin, FOREIGN)):
        trial = tried(type, wrong, **about)
        assert not trial.success, trial
        assert "certificate" in trial.advice, trial
    return well


def test_postgresql_takes_the_user_of_the_certificate() -> None:
    with servers.start_postgres() as server:
        switch_tls_on(server, clients=AUTHORITY.certificate)
        with psycopg.connect(server.dsn(), autocommit=True) as made:
            made.execute("CREATE ROLE known LOGIN")
            made.execute("CREATE ROLE other LOGIN")
            rules = "hostssl all known,other 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 trust\n"
            (data_of(server) / "pg_hba.conf").write_text(rules)
            made.execute("SELECT pg_reload_conf()")
        wait_for(lambda: refuses_without(server))
        about = {"database": "postgres", "username": "known"}
        well = check_certificates("DATABASE", "postgresql", server.port, **about)
        assert "as 'known'" in well.answered
        own = certificate(f"postgresql://localhost:{server.port}")
        other = tried("DATABASE", own, port=server.port, username="other")
        assert not other.success
        assert "whom it stands for" in other.advice


def refuses_without(server: servers.Postgres) -> None:
    try:
        psycopg.connect(server.dsn() + " user=known sslmode=require").close()
    except psycopg.OperationalError as error:
        if "certificate" not in str(error):
            raise
    else:
        raise psycopg.OperationalError("It does not ask yet.")


def test_mariadb_takes_a_user_by_the_certificate() -> None:
    with start_mariadb() as port:
        about = {"driver": "MYSQL", "port": port, "username": "known"}
        origin = f"mysql://localhost:{port}"
        well = tried("DATABASE", certificate(origin), **about)
        assert well.success, well
        assert "as 'known@localhost'" in well.answered
        for wrong in (None, certificate(origin, FOREIGN)):
            trial = tried("DATABASE", wrong, **about)
            assert not trial.success, trial


@pytest.mark.parametrize("type", ["CACHE", "MESSAGE_BROKER"])
def test_redis_asks_for_a_certificate(type: str) -> None:
    with start_redis_in_tls() as port:
        check_certificates(type, "redis", port, driver="REDIS")


@pytest.mark.slow
def test_a_broker_takes_the_user_from_the_certificate() -> None:
    with start_rabbitmq() as port:
        check_certificates("MESSAGE_BROKER", "amqp", port)


def test_a_certificate_goes_only_to_its_origins() -> None:
    with start_redis_in_tls() as port:
        trial = tried("CACHE", certificate("redis://localhost:1"), port=port)
        assert not trial.success
        assert "none of its allowed origins" in trial.answered


@pytest.mark.parametrize(
    ("type", "fields", "field"),
    [
        ("DATABASE", {"host": "db"}, "config.tls"),
        ("DATABASE", {"host": "db", "driver": "MYSQL", "username": "robot"}, "config.tls"),
        ("CACHE", {"host": "cache"}, "config.tls"),
        ("MESSAGE_BROKER", {"host": "mq", "username": "robot", "config": TLS}, "username"),
        ("HTTP", {"base_url": "http://127.0.0.1:9"}, "base_url"),
    ],
)
def test_where_no_certificate_can_be_shown_none_is_linked(
    type: str, fields: dict[str, Any], field: str
) -> None:
    own = certificate("https://api.example.org")
    with pytest.raises(ValidationFailed) as caught:
        make_connection(type, credential=own.name, **fields)
    assert list(caught.value.errors) == [field]
    assert not Connection.objects.exists()


def test_tls_stays_on_while_a_certificate_is_linked() -> None:
    own = certificate("redis://cache:6379")
    row = make_connection("CACHE", host="cache", config=TLS, credential=own.name)
    with pytest.raises(ValidationFailed, match=r"config\.tls"):
        update_connection(row, {"config": {}}, EDITOR)


def test_calls_show_the_certificate_to_a_server_of_the_connections_own_authority() -> None:
    context = context_of(make_certificate("server", issuer=STRANGER))
    context.verify_mode = 2  # type: ignore[assignment]  # a certificate is required
    context.load_verify_locations(cadata=AUTHORITY.certificate)
    web = WebServer()
    with serving(web.answer, tls=context) as base:
        own = certificate(base)
        fields = {"base_url": base, "credential": own.name}
        well = make_connection(config={"ca_bundle": STRANGER.certificate}, **fields)
        assert call_now(well, {"a": 1}).output == {"well": True}
        with pytest.raises(ServiceUnavailableError, match=r"(?i)certificate"):
            call_now(make_connection(**fields), {"a": 1})
