"""Opens the source that a URL names, or the hub's own database."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.db import connection
from psycopg.conninfo import make_conninfo

from integration_site.adoption.sources.base import BadSource, SourceDatabase
from integration_site.adoption.sources.mysql import MysqlSource
from integration_site.adoption.sources.postgresql import PostgresSource
from integration_site.adoption.sources.sqlite import SqliteSource
from integration_site.configuration.value_types import POSTGRES_OPTIONS

_FORMS = (
    "Write it as postgres://user:password@host:5432/database,"
    " mysql://user:password@host:3306/database, or sqlite:/path/to/file."
)


def open_source(url: str) -> SourceDatabase:
    """Return the source of a URL, not connected yet.

    Raises:
        BadSource: it is no such URL.
    """
    scheme, _, rest = url.partition(":")
    family = scheme.lower().partition("+")[0]
    if family == "sqlite":
        path = Path(unquote(rest.removeprefix("//") or rest))
        return SqliteSource(path, f"sqlite:{path}")
    try:
        parts = _parts_of(url)
    except ValueError:
        raise BadSource(f"This URL cannot be read. {_FORMS}") from None
    if family in ("postgres", "postgresql"):
        return PostgresSource(_conninfo(parts, url), _label("postgres", parts))
    if family in ("mysql", "mariadb"):
        return MysqlSource(_of_mysql(parts), _label("mysql", parts))
    raise BadSource(f"'{scheme[:20]}' is no kind of database that can be read. {_FORMS}")


def _parts_of(url: str) -> dict[str, Any]:
    split = urlsplit(url)
    database = unquote(split.path.lstrip("/"))
    if not database or "/" in database:
        raise ValueError(url)
    return {
        "host": split.hostname or "127.0.0.1",
        "port": split.port,
        "user": unquote(split.username or ""),
        "password": unquote(split.password or ""),
        "database": database,
    }


def _label(scheme: str, parts: dict[str, Any]) -> str:
    port = f":{parts['port']}" if parts["port"] else ""
    return f"{scheme}://{parts['host']}{port}/{parts['database']}"


def _conninfo(parts: dict[str, Any], url: str) -> str:
    known = {k: v for k, v in parts.items() if v and k != "database"}
    options = dict(parse_qsl(urlsplit(url).query))
    try:
        return make_conninfo("", dbname=parts["database"], **known, **options)
    except Exception as error:
        raise BadSource(f"This URL cannot be read: {error}. {_FORMS}") from None


def _of_mysql(parts: dict[str, Any]) -> dict[str, Any]:
    return {**parts, "port": parts["port"] or 3306}


def hub_source(*, schemas: tuple[str, ...] = ()) -> SourceDatabase:
    """Return the hub's own database as a source."""
    if connection.vendor != "postgresql":
        path = Path(connection.settings_dict["NAME"])
        return SqliteSource(path, "the hub's own database")
    return PostgresSource(hub_conninfo(), "the hub's own database", schemas=schemas)


def hub_conninfo() -> str:
    """Return how the hub's own PostgreSQL is reached."""
    config = connection.settings_dict
    parts = {
        "dbname": config["NAME"], "host": config["HOST"], "port": config["PORT"],
        "user": config["USER"], "password": config["PASSWORD"],
    }  # fmt: skip
    options = {k: v for k, v in config.get("OPTIONS", {}).items() if k in POSTGRES_OPTIONS}
    given = {key: value for key, value in {**parts, **options}.items() if value}
    return make_conninfo("", **given)
