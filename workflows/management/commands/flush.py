"""Django's flush, which empties the history of executions as well."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import flush
from django.db import connection

from workflows.history.append_only import deletable_history


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        if connection.vendor != "sqlite":
            # There it truncates, which no trigger of a row sees.
            super().handle(**options)
            return
        with deletable_history():
            super().handle(**options)
