"""Stops a service for a while, as if its machine were gone, to show what the hub makes of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from reference_services.problems import InvalidInputError
from reference_services.schemas import JsonObject, described, input_check, record

PATH = "/_outage"
DEFAULT_SECONDS = 120
# Long enough for the answer to whoever asked to leave.
LAST_WORDS_SECONDS = 0.3

INPUT_SCHEMA = record(
    {
        "seconds": described(
            {"type": "integer", "minimum": 5, "maximum": 3600, "default": DEFAULT_SECONDS},
            "For so long nothing answers and no heartbeat is sent.",
        )
    },
    closed=True,
)
_check = input_check(INPUT_SCHEMA)

ACTION: JsonObject = {
    "name": "stop_for_a_while",
    "method": "POST",
    "path": PATH,
    "description": (
        "Stop this service on purpose, without a word to the hub: it answers nothing and beats"
        " no more. It comes back by itself."
    ),
    "input_schema": INPUT_SCHEMA,
    "output_schema": record({"away_for_seconds": {"type": "integer"}}, required="away_for_seconds"),
    "idempotent": True,
}


class Outage:
    """Remembers in a file until when a service stays away, since its process does not last."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        die: Callable[[], object] = lambda: os._exit(1),
    ) -> None:
        self._path = path
        self._clock = clock
        self._die = die

    def begin(self, body: JsonObject) -> JsonObject:
        """Have the process die at once and stay away; return for how many seconds.

        Raises: InvalidInputError.
        """
        errors = _check(body)
        if errors:
            raise InvalidInputError("The outage is not valid; see errors.", errors=errors)
        seconds = body.get("seconds", DEFAULT_SECONDS)
        self._path.write_text(str(self._clock() + seconds))
        asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._die)
        return {"away_for_seconds": seconds}

    def seconds_left(self) -> float:
        """Return for how many seconds the service stays away; 0 when it need not."""
        try:
            return max(0.0, float(self._path.read_text()) - self._clock())
        except (FileNotFoundError, ValueError):
            return 0.0
