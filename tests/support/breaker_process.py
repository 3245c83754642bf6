"""Workers of their own that call an instance that always fails, as often as they are let through.

Run as `python -m tests.support.breaker_process COUNT DATABASE INSTANCE OPENINGS FOLDER`. A worker
makes a file in FOLDER while it calls and stops once the circuit was opened OPENINGS times. It
prints how many calls it made, and how many began while another process was calling.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from tests.support.forking import fork, set_up
from tests.support.waiting import PATIENCE


async def call_until(instance_id: str, openings: int, folder: Path) -> tuple[int, int]:
    from registry.calls.circuits import breaker_set
    from registry.calls.circuits.breaker import CallRefused
    from registry.calls.database_threads import DatabaseThreads
    from registry.exceptions import ServiceUnavailableError
    from registry.policies.circuit_profile import Profile

    # Ask the database before every call: nobody is held back by what it knew a moment ago.
    breaker_set.RENEW_SECONDS = breaker_set.FRESH_SECONDS = -1.0
    # A call does not wait long for a slow database, and is then made without being asked about.
    breaker_set.LONGEST_WAIT_SECONDS = PATIENCE
    profile = Profile(
        failure_threshold=1, recovery_seconds=0.0, max_recovery_seconds=0.0, timeout_seconds=10.0
    )
    threads = DatabaseThreads(1)
    found = breaker_set.BreakerSet(threads, clock=time.monotonic)
    breaker = found.breaker(instance_id, profile)
    calls = overlaps = 0

    async def fail() -> None:
        nonlocal calls, overlaps
        calls += 1
        try:
            os.close(os.open(folder / "calling", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            overlaps += 1
        await asyncio.sleep(0)
        (folder / "calling").unlink(missing_ok=True)
        raise ServiceUnavailableError("It answered 503.")

    while breaker.circuit.open_count < openings:
        try:
            await breaker.call(fail, deadline_seconds=PATIENCE)
        except CallRefused:
            await asyncio.sleep(0.05)
        except ServiceUnavailableError:
            await asyncio.sleep(0)
    await found.close()
    threads.close()
    return calls, overlaps


def main(count: int, database: str, instance_id: str, openings: int, folder: Path) -> None:
    set_up(database)
    from registry.calls.circuits import breaker_set  # noqa: F401 (loaded before the first fork)

    fork(count, lambda: "{} {}".format(*asyncio.run(call_until(instance_id, openings, folder))))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
