"""Makes an installation ready to run, and brings an older one up to date."""

from __future__ import annotations

import hashlib
import importlib.metadata
import secrets
import sqlite3
import stat
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from core.models import ApiKey
from core.roles import Role
from integration_site.admin_groups import create_roles
from integration_site.adoption.notice import earlier_tables_notice
from integration_site.first_keys import create_credential_key, write_private
from workflows.catalog import install_catalog

FIRST_KEY_NAME = "first-operator"


class Command(BaseCommand):
    """Migrates, collects static files, and creates roles, catalog, first login and first key."""

    help = "Make an installation ready to run. It may be run again at any time."

    def handle(self, *args: Any, **options: Any) -> None:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_database()
        self._check_earlier_tables()
        if done := tighten(settings.DATA_DIR):
            self.stdout.write(f"  {done}")
        if made := create_credential_key():
            self.stdout.write(f"  {made}")
        self._migrate()
        self._collect_static()
        create_roles()
        for name in install_catalog():
            self.stdout.write(f"  installed workflow {name}")
        self._create_access()

    def _check_earlier_tables(self) -> None:
        """Say so where an earlier system used the database, and change nothing of it.

        Raises:
            CommandError: the hub's own tables cannot be made beside it.
        """
        notice = earlier_tables_notice()
        if notice is not None and notice.stops:
            raise CommandError(notice.sentence)
        if notice is not None:
            self.stdout.write(f"  {notice.sentence}")

    def _migrate(self) -> None:
        if _pending_migrations():
            self.stdout.write("  creating or updating tables")
            call_command("migrate", interactive=False, verbosity=0)

    def _collect_static(self) -> None:
        stamp = Path(settings.STATIC_ROOT) / ".stamp"
        digest = static_digest()
        if stamp.is_file() and stamp.read_text() == digest:
            return
        self.stdout.write("  collecting static files")
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(digest)

    def _create_access(self) -> None:
        """Make a first login and key where none are; show them once, and keep them in a file."""
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists() or ApiKey.objects.exists():
            return
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
        username = settings.ADMIN_USERNAME
        key = ApiKey(name=FIRST_KEY_NAME, role=Role.OPERATOR)
        secret = key.issue_secret()
        url = f"http://{_reachable_host()}:{settings.SERVICE_PORT}/api"
        # Written before the rows: a crash in between leaves a file that the next run replaces, not
        # a login that nobody knows.
        file = settings.DATA_DIR / "access.env"
        write_private(
            file,
            f"SERVICE_INTEGRATION_URL={url}\nSERVICE_INTEGRATION_API_KEY={secret}\n"
            f"ADMIN_USERNAME={username}\nADMIN_PASSWORD={password}\n",
        )
        key.save()
        users.create_superuser(username=username, email="", password=password)
        self.stdout.write(f"  admin login  {username} / {password}")
        self.stdout.write(f"  API key      {secret}")
        self.stdout.write(f"  both are kept in {file}; they are shown only now")


def check_database() -> None:
    """Say in one sentence what is wrong with the database.

    Raises:
        CommandError: it cannot be used.
    """
    config = connection.settings_dict
    if connection.vendor == "postgresql":
        try:
            psycopg.connect(
                host=config["HOST"] or None,
                port=config["PORT"] or None,
                user=config["USER"] or None,
                password=config["PASSWORD"] or None,
                dbname=config["NAME"],
                connect_timeout=5,
            ).close()
        except psycopg.OperationalError as error:
            raise CommandError(_postgres_sentence(config, str(error))) from None
        return
    if sqlite3.sqlite_version_info < (3, 35):
        raise CommandError(f"SQLite 3.35 or newer is needed; this is {sqlite3.sqlite_version}.")
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise CommandError(f"The database {config['NAME']} cannot be used: {error}") from None


def _postgres_sentence(config: dict[str, Any], error: str) -> str:
    host, port, name = config["HOST"] or "local socket", config["PORT"] or 5432, config["NAME"]
    if f'database "{name}" does not exist' in error:
        return (
            f"PostgreSQL at {host}:{port} has no database '{name}'."
            f" Create it: createdb -h {host} -p {port} -U {config['USER'] or 'postgres'} {name}"
        )
    reasons = [line for line in error.splitlines() if "failed:" in line] or error.splitlines()
    reason = reasons[0].rpartition("failed:")[2].strip() or error.strip()
    return f"PostgreSQL at {host}:{port} cannot be used: {reason}"


def _pending_migrations() -> bool:
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def static_digest() -> str:
    """Changes when the packages that bring static files, or our own files, change."""
    parts = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("django", "django-unfold", "drf-spectacular-sidecar")
    ]
    files = (
        f for d in settings.STATICFILES_DIRS for f in sorted(Path(d).rglob("*")) if f.is_file()
    )
    parts += [f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reachable_host() -> str:
    host = settings.SERVICE_HOST
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104


def tighten(folder: Path) -> str:
    """Take from others what they may do in the folder of keys and data, and return a line on it."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & 0o077:
        return ""
    try:
        folder.chmod(mode & 0o700)
    except OSError as error:
        return f"others may read {folder}, and that cannot be changed: {error.strerror}"
    return f"others could read {folder}: from now on it is its owner's alone"
