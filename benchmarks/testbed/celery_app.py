"""The peer on Celery: a chain of five tasks on Redis, whose last one leaves a result there.

`PEER_BROKER` and `PEER_RESULTS` are its Redis databases. What a task answers goes to the next one
inside its message; nothing is written to a database, and Redis keeps it in memory only.
"""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery, chain

from benchmarks.testbed.chain import STEPS, call_from_thread

app = Celery("peer", broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=32,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def step(value: dict[str, Any], url: str) -> dict[str, Any]:
    """Make one call; without an address nothing is called."""
    if not url:
        return value
    answer: dict[str, Any] = json.loads(call_from_thread(url, json.dumps(value)))
    return answer


@app.task(ignore_result=False)
def last_step(value: dict[str, Any], url: str) -> dict[str, Any]:
    """Make one call; its result tells that the chain ended."""
    answer: dict[str, Any] = step(value, url)
    return answer


def make_chain(value: dict[str, Any], url: str) -> Any:
    """Return a chain that is ready to be sent."""
    later = [step.s(url) for _ in range(STEPS - 2)]
    return chain(step.s(value, url), *later, last_step.s(url))
