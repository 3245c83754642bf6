"""Real servers that speak TLS, with certificates that the tests made."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_connection

import psycopg
import pymysql
import pytest

from tests.support import servers
from tests.support.credentials import Pair, make_certificate
from tests.support.waiting import PATIENCE, until

AUTHORITY = make_certificate("authority")
STRANGER = make_certificate("stranger")
SERVER = make_certificate("server", issuer=AUTHORITY)


def context_of(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def data_of(server: servers.Postgres) -> Path:
    with psycopg.connect(server.dsn(), autocommit=True) as made:
        return Path(made.execute("SHOW data_directory").fetchone()[0])  # type: ignore[index]


def switch_tls_on(server: servers.Postgres, *, clients: str = "") -> None:
    """From now on it speaks TLS, and knows the authority that signs the clients' certificates."""
    data = data_of(server)
    owner = data.stat()
    texts = {"server.crt": SERVER.certificate, "server.key": SERVER.key, "clients.crt": clients}
    for name, text in texts.items():
        file = data / name
        file.write_text(text)
        file.chmod(0o600)
        if os.getuid() == 0:
            os.chown(file, owner.st_uid, owner.st_gid)
    with psycopg.connect(server.dsn(), autocommit=True) as made:
        made.execute("ALTER SYSTEM SET ssl = on")
        if clients:
            made.execute("ALTER SYSTEM SET ssl_ca_file = 'clients.crt'")
        made.execute("SELECT pg_reload_conf()")
    wait_for(lambda: psycopg.connect(server.dsn() + " sslmode=require").close())


def wait_for(attempt: Callable[[], object]) -> None:
    """Until it raises nothing: a server takes up its configuration when it comes to it."""
    said: list[str] = []

    def works() -> bool:
        try:
            attempt()
        except psycopg.OperationalError as error:
            said[:] = [str(error)]
            return False
        return True

    until(works, "PostgreSQL takes up its configuration", tail=lambda: "".join(said), every=0.05)


@contextlib.contextmanager
def start_mariadb() -> Iterator[int]:
    """A MariaDB with TLS that lets a user in without a password, and one by its certificate."""
    program = servers.find_binary("mariadbd")
    if program is None:
        pytest.skip("mariadbd is not installed.")
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        files = _files_in(directory)
        data, port = directory / "data", servers.free_port()
        install = servers.find_binary("mariadb-install-db")
        assert install is not None
        plain = ["--no-defaults", "--auth-root-authentication-method=normal"]
        servers.run_to_end([install, *plain, f"--datadir={data}"])
        first = directory / "first.sql"
        first.write_text(
            "CREATE USER robot;\nGRANT SELECT ON *.* TO robot;\n"
            "CREATE USER known@localhost REQUIRE SUBJECT '/CN=known';\n"
            "GRANT SELECT ON *.* TO known@localhost;\n"
        )
        first.chmod(0o644)
        command = [program, "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += ["--bind-address=127.0.0.1", f"--socket={directory / 'socket'}"]
        command += [f"--init-file={first}", f"--pid-file={directory / 'pid'}"]
        command += [f"--ssl-cert={files['cert']}", f"--ssl-key={files['key']}"]
        command += [f"--ssl-ca={files['ca-cert']}"]
        log = directory / "log"
        with servers.running(command, log=log, stop_signal=signal.SIGTERM) as process:
            servers.wait_until_answers(process, lambda: log_in(port))
            yield port


def log_in(port: int) -> None:
    try:
        pymysql.connect(host="127.0.0.1", port=port, user="robot").close()
    except pymysql.OperationalError as error:
        raise OSError(str(error)) from error


@contextlib.contextmanager
def start_redis_in_tls() -> Iterator[int]:
    """A Redis that lets in only who shows a certificate of the authority."""
    program = servers.find_binary("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed.")
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        files, port = _files_in(directory), servers.free_port()
        command = [program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", str(directory), "--save", "", "--tls-auth-clients", "yes"]
        for option in ("cert", "key", "ca-cert"):
            command += [f"--tls-{option}-file", str(files[option])]
        log = directory / "log"
        with servers.running(command, log=log, stop_signal=signal.SIGTERM) as process:
            servers.wait_until_answers(process, lambda: _dial(port))
            yield port


@contextlib.contextmanager
def start_rabbitmq() -> Iterator[int]:
    """A RabbitMQ in TLS that takes the user `known` from the certificate, and no password."""
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if not program.exists():
        pytest.skip("rabbitmq-server is not installed.")
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        files, port = _files_in(directory), servers.free_port()
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nlisteners.ssl.default = 127.0.0.1:{port}\n"
            f"ssl_options.cacertfile = {files['ca-cert']}\n"
            f"ssl_options.certfile = {files['cert']}\nssl_options.keyfile = {files['key']}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            "auth_mechanisms.1 = EXTERNAL\nssl_cert_login_from = common_name\n"
            "default_user = known\n"
        )
        (directory / "plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
        for name in ("rabbitmq.conf", "plugins"):
            (directory / name).chmod(0o644)
        settings = {
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"tests{port}@localhost",
            "RABBITMQ_DIST_PORT": str(servers.free_port()),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "logs"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
        }
        command = ["/usr/bin/env", *(f"{k}={v}" for k, v in settings.items()), str(program)]
        log = directory / "log"
        with servers.running(command, log=log, stop_signal=signal.SIGTERM) as process:
            servers.wait_until_answers(process, lambda: _dial(port))
            yield port


def _files_in(directory: Path) -> dict[str, Path]:
    """The certificate, key and authority of a server, where it can read them."""
    texts = {"cert": SERVER.certificate, "key": SERVER.key, "ca-cert": AUTHORITY.certificate}
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    return {name: directory / name for name in texts}


def _dial(port: int) -> None:
    create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
