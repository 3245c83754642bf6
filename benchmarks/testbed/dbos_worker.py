"""One process that runs chains as DBOS workflows.

`python -m benchmarks.testbed.dbos_worker URL NAME` starts it.

It reads jobs from its input, one JSON line each, and answers each with one line. A chain is a
workflow of five steps, started in the background and waited for: DBOS records the workflow, each
step and the end in PostgreSQL.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from dbos import DBOS

from benchmarks.testbed.chain import PAYLOAD, STEPS, Stretch, call_from_thread

MOST_THREADS = 32


@DBOS.step()
def call(url: str, value: dict[str, str]) -> dict[str, str]:
    """Make one call; without an address nothing is called."""
    if not url:
        return {"done": "yes"}
    answer: dict[str, str] = json.loads(call_from_thread(url, json.dumps(value)))
    return answer


@DBOS.workflow()
def chain(url: str) -> None:
    for _ in range(STEPS):
        call(url, PAYLOAD)


def run_chain(url: str) -> float:
    before = time.perf_counter()
    DBOS.start_workflow(chain, url).get_result()
    return time.perf_counter() - before


def run_share(url: str, chains: int, threads: int) -> Stretch:
    """Run so many chains, so many at a time."""
    with ThreadPoolExecutor(threads) as pool:
        cpu, began = time.process_time(), time.time()
        seconds = list(pool.map(run_chain, [url] * chains))
        return Stretch(began, time.time(), time.process_time() - cpu, tuple(seconds))


def main(database: str, name: str) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": database,
            "executor_id": name,
            "application_version": "1",
            "sys_db_pool_size": MOST_THREADS,
            "log_level": "ERROR",
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(run_share(**json.loads(line)))), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
