"""Every variable is checked at the start, and everything that is wrong is said at once."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import kombu
import pytest
import redis
import redis.asyncio
from psycopg.pq import Conninfo

from core.roles import Role
from core.vault.key_ring import new_key, read_keys
from integration_site.configuration.reading import ConfigurationError, read
from integration_site.configuration.value_types import ANYTHING, POSTGRES_OPTIONS, REDIS_OPTIONS
from integration_site.configuration.variables import ROLES, VARIABLES
from registry.discovery.base import STRATEGIES
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent.parent
NUMBERS = ("", "1 2", "x", "1e999", "nan", "inf", "-1", "99999999999", "1_0", "٣")
BOOLEANS = ("maybe", "2", "tru")
HOSTS = ("a b", "http://db", "db:5432", "-a", "a..b", "x" * 64, "1.2.3.4.5/8")
NETWORKS = ("10.0.0.0/33", "everywhere", "10.0.0.0/8;127.0.0.0/8", "10.0.0.1/8/8")
REDIS_URLS = (
    "cache", "http://cache", "redis://", "redis://cache/a", "redis://cache:0", "redis://cache/-1",
    "redis://cache/1.5", "redis://cache/0/1", "redis://cache/9999999999", "redis://cache/0#1",
    "redis://cache/9?x=y", "redis://cache/0?ssl_cert_reqs=none", "rediss://cache/0?timeout=5",
    "rediss://cache/0?ssl_cert_reqs=never", "rediss://cache/0?ssl_keyfile",
    "rediss://cache/0?ssl_keyfile=/a&ssl_keyfile=/b",
)  # fmt: skip
# What each variable refuses. A variable that takes any text has nothing here.
REFUSED = {
    "ENVIRONMENT": ("prod", "staging", "development,production"),
    "SERVICE_NAME": ("two words", "a:b", "{x}", "x" * 51),
    "SERVICE_HOST": HOSTS,
    "SERVICE_PORT": (*NUMBERS, "0", "65536", "80.5"),
    "DATA_DIR": (__file__,),
    "DATABASE_URL": (
        "db",
        "mysql://db/hub",
        "postgres://db",
        "postgres://db:x/hub",
        "sqlite://",
        "postgres://db/hub?x=y",
        "postgres://db/hub?sslmode",
    ),
    "POSTGRES_HOST": HOSTS,
    "POSTGRES_PORT": (*NUMBERS, "0", "65536", "tcp://10.0.0.1:5432"),
    "POSTGRES_PREPARE": BOOLEANS,
    "REDIS_URL": REDIS_URLS,
    "REDIS_HOST": HOSTS,
    "REDIS_PORT": (*NUMBERS, "0", "65536"),
    "CREDENTIAL_KEYS": ("key", "a:QUJD", "a b:" + "A" * 43, ",".join(["a:" + "A" * 43] * 2)),
    "ALLOWED_HOSTS": ("https://hub.example.org", "hub.example.org:443", "a b", "a,b/c"),
    "CSRF_TRUSTED_ORIGINS": ("hub.example.org", "ftp://a", "https://a/path", "https://a:x"),
    "WEB_PROCESSES": (*NUMBERS, "0", "65"),
    "WEB_THREADS": (*NUMBERS, "0", "1001"),
    "CONNECTIONS_PER_ADDRESS": (*NUMBERS, "0"),
    "REQUESTS_PER_CALLER": (*NUMBERS, "0"),
    "REQUESTS_PER_ADDRESS": (*NUMBERS, "0"),
    "WAITS_PER_CALLER": (*NUMBERS, "0"),
    "WAITS_PER_ADDRESS": (*NUMBERS, "0"),
    "SECURE_SSL_REDIRECT": BOOLEANS,
    "SECURE_HSTS_SECONDS": NUMBERS,
    "TRUSTED_PROXIES": NETWORKS,
    "DEBUG": BOOLEANS,
    "LEGACY_API": BOOLEANS,
    "API_RATE_LIMIT": (*NUMBERS, "1000001"),
    "ANONYMOUS_API_ROLE": ("admin", "viewer,service"),
    "ANONYMOUS_API_NETWORKS": NETWORKS,
    "REGISTRATION_POLICY": ("closed", "OPEN,KEYED", "1"),
    "METADATA_MAX_BYTES": (*NUMBERS, "1", "1048577"),
    "TAGS_MAX": (*NUMBERS, "0"),
    "INSTANCES_PER_SERVICE": (*NUMBERS, "0"),
    "SERVICES_PER_OWNER": (*NUMBERS, "0"),
    "SIGNALS_PER_EXECUTION": (*NUMBERS, "0"),
    "EVENTS_PER_EXECUTION": (*NUMBERS, "9"),
    "ENGINE_MAX_IN_FLIGHT": (*NUMBERS, "0"),
    "ENGINE_LEASE_SECONDS": (*NUMBERS, "0", "3601"),
    "ENGINE_GRACE_SECONDS": (*NUMBERS, "3601"),
    "ALLOWED_NETWORKS": NETWORKS,
    "CALL_TIMEOUT_SECONDS": (*NUMBERS, "0", "86401"),
    "FAILPOINT": ("D1", "C", "C4:0", "C4:x"),
    "SERVICE_DISCOVERY_BACKEND": ("zookeeper", "redis,consul"),
    "SERVICE_DISCOVERY_URL": (
        "consul:8500",
        "ftp://a",
        "http://",
        *(url for url in REDIS_URLS if url[:5] == "redis"),
    ),
    "ZONE": ("a\nb", "x" * 101),
    "MASS_EXPIRY_PERCENT": (*NUMBERS, "101"),
    "MASS_EXPIRY_MINIMUM": NUMBERS,
    "PROBE_INTERVAL_SECONDS": NUMBERS,
    "PROBE_FAILURE_THRESHOLD": (*NUMBERS, "0"),
    "PROBE_SUCCESS_THRESHOLD": (*NUMBERS, "0"),
    "INSTANCE_RETENTION_DAYS": (*NUMBERS, "0"),
    "RETENTION_DAYS": (
        "7",
        "SHORT=0",
        "SHORT=x",
        "NEVER=1",
        "SHORT",
        "SHORT=7,SHORT=8",
        "LONG=7,LONG=7",
    ),
    "RETENTION_DEFAULT": ("NEVER", "7"),
    "WORKFLOW_CATALOG": ("both", "none"),
    "RETENTION_FAILED_DAYS": NUMBERS,
    "INTEGRATION_HISTORY_DAYS": (*NUMBERS, "0"),
    "INTEGRATION_HISTORY_MOST": (*NUMBERS, "0"),
    "CREDENTIAL_HISTORY_DAYS": NUMBERS,
    "AUDIT_HISTORY_DAYS": NUMBERS,
    "MODEL_HISTORY_DAYS": NUMBERS,
    "WEBHOOK_HISTORY_DAYS": (*NUMBERS, "0"),
    "WEBHOOK_HISTORY_MOST": (*NUMBERS, "0"),
    "PUBLIC_URL": ("hub.example.org", "https://a/path", "ftp://a"),
    "MONITORING_CANARIES": ("watch.example.org", "https://a,ftp://b"),
    "MONITORING_HEARTBEAT_URL": ("watch.example.org", "ftp://a", "https://"),
    "EMAIL_HOST": ("a b", "http://a"),
    "EMAIL_PORT": (*NUMBERS, "0", "65536"),
    "EMAIL_TLS": ("ssl", "true"),
    "EMAIL_FROM": ("hub", "a@b, c@d", "The hub <hub>"),
    "LOG_LEVEL": ("loud", "1"),
    "LOG_FORMAT": ("xml",),
    "ADMIN_USERNAME": ("a b", "x" * 151),
}
CASES = [(name, text) for name, texts in REFUSED.items() for text in texts if text]
ACCEPTED = {
    "ENVIRONMENT": ("Development", "development"),
    "SERVICE_HOST": ("::1", "::1"),
    "POSTGRES_PASSWORD": (" with spaces ", " with spaces "),
    "DATABASE_URL": (
        "postgres:///hub?sslmode=require&CONN_MAX_AGE=60",
        "postgres:///hub?sslmode=require&CONN_MAX_AGE=60",
    ),
    "SERVICE_DISCOVERY_URL": ("https://consul:8501", "https://consul:8501"),
    "REDIS_URL": ("rediss://:secret@cache:6380/2", "rediss://:secret@cache:6380/2"),
    "ALLOWED_HOSTS": ("hub.example.org, .example.org,[::1],*", [
        "hub.example.org", ".example.org", "[::1]", "*"]),
    "CSRF_TRUSTED_ORIGINS": ("https://a.example:8443", ["https://a.example:8443"]),
    "ALLOWED_NETWORKS": (" 10.0.0.0/8 ,::1/128,", ["10.0.0.0/8", "::1/128"]),
    "RETENTION_DAYS": ("LONG=400", {"SHORT": 7, "STANDARD": 30, "LONG": 400}),
    "ENGINE_LEASE_SECONDS": ("2", 2.0),
    "POSTGRES_PREPARE": ("False", False),
    "LOG_LEVEL": ("debug", "DEBUG"),
    "EMAIL_FROM": ("The hub <hub@example.org>", "The hub <hub@example.org>"),
    "FAILPOINT": ("C4@pay:3", "C4@pay:3"),
}  # fmt: skip
# Each option of TLS with a value that Redis clients take.
REDIS_OPTION_VALUES = {
    "ssl_ca_certs": "/etc/ca.pem", "ssl_cert_reqs": "required", "ssl_certfile": "/etc/hub.pem",
    "ssl_check_hostname": "false", "ssl_keyfile": "/etc/hub.key",
}  # fmt: skip


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment that sets nothing but where files are."""
    return {"DATA_DIR": str(tmp_path)}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(environ)
    return caught.value.problems


def test_every_variable_that_is_not_free_has_examples_of_what_it_refuses() -> None:
    checked = {name for name, variable in VARIABLES.items() if variable.type is not ANYTHING}
    assert set(REFUSED) == checked


@pytest.mark.parametrize(("name", "text"), CASES)
def test_wrong_value_is_named_with_what_would_be_right(
    name: str, text: str, nowhere: dict[str, str]
) -> None:
    (problem,) = problems({**nowhere, name: text})
    assert problem.startswith(name)
    assert problem.endswith(f"use {VARIABLES[name].type.words.replace('`', '')}.")
    assert problem.startswith(f"{name} cannot be used: ") == VARIABLES[name].secret


@pytest.mark.parametrize(("name", "text", "value"), [(n, *pair) for n, pair in ACCEPTED.items()])
def test_right_value_is_read(name: str, text: str, value: object, nowhere: dict[str, str]) -> None:
    assert read({**nowhere, name: text})[name] == value


def test_every_option_behind_the_url_of_redis_is_taken_by_each_client(
    nowhere: dict[str, str],
) -> None:
    assert set(REDIS_OPTION_VALUES) == REDIS_OPTIONS
    url = f"rediss://127.0.0.1:1/3?{urlencode(REDIS_OPTION_VALUES)}"
    assert read({**nowhere, "REDIS_URL": url})["REDIS_URL"] == url
    redis.Redis.from_url(url).connection_pool.make_connection()
    redis.asyncio.Redis.from_url(url).connection_pool.make_connection()
    options = kombu.Connection(url).ssl
    assert isinstance(options, dict)
    assert set(options) == REDIS_OPTIONS


def test_every_option_behind_the_url_of_postgres_is_one_of_libpq() -> None:
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    later = {"gssdelegation", "load_balance_hosts", "require_auth", "sslcertmode", "sslnegotiation"}
    assert known >= POSTGRES_OPTIONS - later


@pytest.mark.parametrize("name", VARIABLES)
def test_empty_is_unset(name: str, nowhere: dict[str, str]) -> None:
    assert read({**nowhere, name: nowhere.get(name, "")}) == read(nowhere)


def test_everything_that_is_wrong_is_said_at_once(nowhere: dict[str, str]) -> None:
    wrong = {name: texts[-1] for name, texts in REFUSED.items() if name != "DATA_DIR"}
    assert {text.split()[0] for text in problems({**nowhere, **wrong})} == set(wrong)


PRODUCTION = {
    "ENVIRONMENT": "production", "SECRET_KEY": "s" * 50, "ALLOWED_HOSTS": "hub.example.org",
}  # fmt: skip
CONTRADICTIONS = [
    ({**PRODUCTION, "SECRET_KEY": "short"}, "SECRET_KEY needs 50"),
    ({**PRODUCTION, "ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS needs"),
    ({**PRODUCTION, "DEBUG": "true"}, "DEBUG shows"),
    ({**PRODUCTION, "FAILPOINT": "C4"}, "FAILPOINT kills"),
    ({"ANONYMOUS_API_ROLE": "viewer"}, "without ANONYMOUS_API_NETWORKS"),
    ({"ANONYMOUS_API_NETWORKS": "10.0.0.0/8"}, "without ANONYMOUS_API_ROLE"),
    ({"SERVICE_DISCOVERY_BACKEND": "redis"}, "set REDIS_URL or"),
    (
        {"SERVICE_DISCOVERY_BACKEND": "consul", "SERVICE_DISCOVERY_URL": "redis://a"},
        "begins with http:// or https://",
    ),
    (
        {"SERVICE_DISCOVERY_BACKEND": "redis", "SERVICE_DISCOVERY_URL": "http://a"},
        "begins with redis:// or rediss://",
    ),
    ({"WEB_PROCESSES": "2"}, "WEB_PROCESSES is 2: on SQLite use 1"),
    ({"WEB_PROCESSES": "2", "DATABASE_URL": "sqlite:///a"}, "on SQLite use 1"),
]


@pytest.mark.parametrize(("environ", "sentence"), CONTRADICTIONS)
def test_what_does_not_go_together_is_said(
    environ: dict[str, str], sentence: str, nowhere: dict[str, str]
) -> None:
    (problem,) = problems({**nowhere, **environ})
    assert sentence in problem


def test_consequences_of_a_wrong_value_are_not_reported(nowhere: dict[str, str]) -> None:
    wrong = {**PRODUCTION, "ALLOWED_HOSTS": "a b", "ANONYMOUS_API_ROLE": "admin"}
    assert len(problems({**nowhere, **wrong, "ANONYMOUS_API_NETWORKS": "10.0.0.0/8"})) == 2


def test_files_of_the_data_directory_are_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "keys.env").write_text("# made\nexport SECRET_KEY='of the file'\nZONE=file\n")
    (tmp_path / "credential-keys.env").write_text(f"CREDENTIAL_KEYS={new_key('one')}\n")
    values = read({"DATA_DIR": str(tmp_path), "ZONE": "own"})
    assert (values["SECRET_KEY"], values["ZONE"]) == ("of the file", "own")
    assert read_keys(values["CREDENTIAL_KEYS"])


def test_words_are_those_of_the_hub() -> None:
    assert tuple(Role.values) == ROLES
    backends = re.findall("`(.*?)`", VARIABLES["SERVICE_DISCOVERY_BACKEND"].type.words)
    assert backends == list(STRATEGIES)


# --- Nothing reads the environment past it --------------------------------------------------------


def read_of(owner: str, path: Path) -> set[str]:
    return set(re.findall(rf"\b{owner}\[[\"']([A-Z_]+)[\"']\]", path.read_text()))


def test_settings_read_every_variable() -> None:
    assert read_of("env", ROOT / "integration_site" / "settings.py") == set(VARIABLES) - {
        "DATA_DIR"  # where files are, in which further variables may be
    }


def test_documentation_says_what_each_may_be() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name, variable in VARIABLES.items():
        assert f"| `{name}` | {variable.type.words} |" in text, name


# Programs that pass the environment on, or set what Django and Celery ask for.
PASS_ON = {"settings.py", "manage.py", "asgi.py", "celery.py", "quarantine.py", "gunicorn.conf.py"}
PASSED_ON = re.compile(r"os\.environ\.setdefault\(|(read_or_end|data_dir)\(os\.environ\)")


def test_no_module_of_the_hub_reads_the_environment_itself() -> None:
    packages = (
        "core", "integration_site", "registry", "workflows", "monitoring", "model_orchestration",
    )  # fmt: skip
    files = [ROOT / "manage.py", ROOT / "gunicorn.conf.py"]
    files += [file for name in packages for file in (ROOT / name).rglob("*.py")]
    found = []
    for file in files:
        lines = file.read_text().splitlines()
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            if ast.unparse(node) not in ("os.environ", "os.getenv"):
                continue
            if not (file.name in PASS_ON and PASSED_ON.search(lines[node.lineno - 1])):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert found == []


# --- Each process says so -------------------------------------------------------------------------

WRONG = {"LOG_LEVEL": "loud", "ANONYMOUS_API_ROLE": "admin", "WEB_THREADS": "many"}


@pytest.mark.once
@pytest.mark.parametrize(
    "command",
    [
        ("python", "manage.py", "bootstrap"),
        ("gunicorn", "integration_site.asgi"),
        ("celery", "-A", "integration_site", "worker"),
        ("celery", "-A", "integration_site", "beat"),
    ],
    ids=lambda command: " ".join(command),
)
def test_process_with_wrong_settings_ends_with_sentences(
    command: tuple[str, ...], nowhere: dict[str, str]
) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **nowhere, **WRONG},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    said = done.stderr + done.stdout
    assert done.returncode == 1
    assert {line.split()[0] for line in said.splitlines()[1:4]} == set(WRONG)
    assert "Traceback" not in said
