"""Takes over a database of an earlier system with a kill at every place, in forks of one process.

Run as a module with the environment of a hub, and the places if not all of them; prints what each
fork came to, one JSON per line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC

import django

APPLYING = (
    "M1", "M2", "M3@set-aside", "M3@migrate", "M4@services", "M3@services", "M4@credentials",
    "M3@credentials", "M3@connections", "M4@integrations", "M4@models", "M3@models", "M4@requests",
    "M5@requests", "M3@requests", "M4@model_performance", "M4@model_feedback", "M3@performance",
    "M4@executions", "M5@executions",
    "M5@executions:2", "M3@executions",
)  # fmt: skip
REVERTING = ("M6@set-aside", "M7")
# What the others are like.
FEW = ("M2", "M3@migrate", "M4@services", "M5@executions", "M6@set-aside")


def main(places: Sequence[str]) -> None:
    django.setup()
    from integration_site.adoption import application, reversal
    from integration_site.adoption.notice import earlier_tables_notice
    from integration_site.adoption.report import adoption_json
    from integration_site.adoption.steps import executions
    from workflows.invariants import check_executions

    executions.BATCH = 7

    def notice() -> str:
        found = earlier_tables_notice()
        return found.sentence if found else ""

    def apply() -> str:
        record = application.apply("", zone=UTC, say=lambda _: None)
        return "".join(adoption_json(record)) if record else ""

    def revert() -> str:
        return str(reversal.revert("", confirmed=True, say=lambda _: None))

    def check() -> str:
        return str(len(list(check_executions())))

    tell("notice", in_fork(notice))
    for place in filter(APPLYING.__contains__, places):
        tell(place, in_fork(apply, place))
    tell("notice", in_fork(notice))
    tell("applied", in_fork(apply))
    tell("again", in_fork(apply))
    tell("notice", in_fork(notice))
    tell("violations", in_fork(check))
    for place in filter(REVERTING.__contains__, places):
        tell(place, in_fork(revert, place))
    tell("reverted", in_fork(revert))


def tell(what: str, came_to: str) -> None:
    sys.stdout.write(f"{json.dumps([what, came_to])}\n")
    sys.stdout.flush()


def in_fork(work: Callable[[], str], place: str = "") -> str:
    """Return what a fork gave, or KILLED where it died at its place."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            from core.failpoints import arm

            arm(place)
            with os.fdopen(writing, "w") as pipe:
                pipe.write(work())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "KILLED" if code == -signal.SIGKILL else text if code == 0 else f"ended with {code}"


if __name__ == "__main__":
    main(sys.argv[1:] or (*APPLYING, *REVERTING))
