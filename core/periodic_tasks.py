"""Tasks that the beat has done again and again."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import shared_task
from django.db import connections


def periodic_task(name: str) -> Callable[[Callable[[], None]], Any]:
    """Make a Celery task of this name, which lets go of its thread's database connections."""

    def decorate(work: Callable[[], None]) -> Any:
        @wraps(work)
        def run() -> None:
            try:
                work()
            finally:
                connections.close_all()

        return shared_task(name=name)(run)

    return decorate
