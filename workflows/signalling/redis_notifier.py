"""Hints over Redis: a list of ready rows, of each of which one worker hears."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property

import redis
from django.conf import settings

from core.json import strict
from workflows.signalling.notifier import LISTEN_SECONDS, NotifierError

READY = f"{settings.SERVICE_NAME}:ready"
# Hints that no worker takes are for the sweep: they are not worth keeping.
MOST_HINTS = 1000
HINT_SECONDS = 10
HASTE_SECONDS = 0.2


class RedisNotifier:
    """A notifier whose clients are made when they are needed."""

    tells_in_haste = True

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _patient(self) -> redis.Redis:
        """A client whose sockets wait longer than a listener does."""
        return redis.Redis.from_url(
            self._url, socket_connect_timeout=2, socket_timeout=LISTEN_SECONDS + 3
        )

    @cached_property
    def _hasty(self) -> redis.Redis:
        """A client for callers that must not be held up."""
        return redis.Redis.from_url(
            self._url, socket_connect_timeout=HASTE_SECONDS, socket_timeout=HASTE_SECONDS
        )

    def tell_ready(self, step_ids: Sequence[str], *, in_haste: bool = False) -> None:
        with _errors():
            client = self._hasty if in_haste else self._patient
            untaken = client.rpush(READY, json.dumps(list(step_ids)))
            if untaken > 1:
                with client.pipeline(transaction=False) as together:
                    together.ltrim(READY, -MOST_HINTS, -1)
                    together.expire(READY, HINT_SECONDS)
                    together.execute()

    def hear_ready(self) -> list[str] | None:
        with _errors():
            message = self._patient.blpop([READY], timeout=LISTEN_SECONDS)
            return None if message is None else ids_in(message[1])


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, ValueError) as error:
        raise NotifierError(str(error)) from error


def ids_in(message: bytes | str) -> list[str]:
    """Return the ids of a message; what is no text names nothing.

    Whoever reaches the server may write there, and no message must end the thread that hears it.

    Raises:
        ValueError: it is anything but a list.
    """
    ids = strict.parse(message)
    if not isinstance(ids, list):
        raise ValueError("A message is not a list of ids.")
    return [value for value in ids if isinstance(value, str)]
