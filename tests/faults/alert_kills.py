"""Kills processes at each place between an incident and the message on it: nothing may be lost.

`python -m tests.faults.alert_kills --times 50`. Each trial opens or ends an incident, has a process
die at the place while it tells of that, and lets another one go on. In the end a receiver has to
have been told of each change, under one key however often.
"""

from __future__ import annotations

import argparse
import gc
import sys
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from random import randbytes
from typing import Any

from tests.faults import forked_worker
from tests.faults.hub_under_test import (
    directory_for_data,
    receipts_of,
    running_postgres,
    running_receiver,
    say,
    use_in_this_process,
)
from tests.support.waiting import PATIENCE

PLACES = {
    "C20": "claimed and not sent",
    "C21": "sent and not noted",
    "C22": "told and uncommitted",
    "C23": "committed and not sent",
    "C24": "noted",
}
CHANGES = ("alert.firing", "alert.resolved")


def sweep(seconds: float) -> None:
    """Tell and send as a worker does, so long after now that no lease of the dead holds."""
    from django.utils import timezone

    from monitoring.alerts.outbox import sender
    from monitoring.alerts.telling import tell_channels

    now = timezone.now() + timedelta(seconds=seconds)
    tell_channels(now=now)
    sender.send_due(now=now)
    sender.wait()


def run_child(seconds: float, failpoint: str = "") -> bool | None:
    """Sweep in a process of its own; whether it was killed."""
    pid = forked_worker.fork(lambda: sweep(seconds), failpoint)
    return forked_worker.ended_by_kill(pid, seconds=PATIENCE)


def trial(point: str, number: int) -> list[str]:
    """Kill while an incident is told of, and while its end is; what went wrong."""
    from django.utils import timezone

    from monitoring.findings import Finding
    from monitoring.incidents import open_incidents, resolve_incident
    from monitoring.models import Incident, Subject

    about = f"{point}-{number}"
    finding = Finding(Subject.CONNECTION_ERROR, "It is away.", about=about, key=about)
    problems = []
    open_incidents([finding], now=timezone.now())
    for change in CHANGES:
        if change == "alert.resolved":
            incident = Incident.objects.get(dedup_key=finding.dedup_key)
            resolve_incident(incident, "It answers.", now=timezone.now())
        if not run_child(0, point):
            problems.append(f"{about}: the process was not killed at {change}")
        if run_child(61):
            problems.append(f"{about}: the next process died at {change}")
    return problems


def judge(receipts: Sequence[dict[str, str]], abouts: Sequence[str]) -> list[str]:
    """Return which changes were told under no key or under more than one."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in receipts:
        keys[each["about"], each["type"]].add(each["idempotency_key"])
    wanted = [(about, change) for about in abouts for change in CHANGES]
    wrong = [
        f"{pair}: told under {len(keys[pair])} keys" for pair in wanted if len(keys[pair]) != 1
    ]
    return wrong + [f"{pair}: nobody asked" for pair in keys.keys() - set(wanted)]


def make_channel(url: str) -> None:
    """Make the one channel: it is told at once, and of each thing by itself."""
    from monitoring.alerts.channels import create_channel

    times: dict[str, Any] = dict.fromkeys(("group_wait_seconds", "group_interval_seconds"), 0)
    secret = {"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    fields = {"name": "kills", "type": "WEBHOOK", "config": {"url": f"{url}/told"}, **times}
    create_channel({**fields, "secret": secret, "per_minute": 1000}, actor="kills")


def run(times: int, *, embedded: bool) -> bool:
    """Do all trials; return whether all was well."""
    with ExitStack() as stack:
        directory = stack.enter_context(directory_for_data())
        surroundings = {"CREDENTIAL_KEYS": f"kills:{b64encode(randbytes(32)).decode()}"}
        if not embedded:
            surroundings |= stack.enter_context(running_postgres())[1]
        receiver = stack.enter_context(running_receiver())
        use_in_this_process(directory, surroundings)
        from django.core.management import call_command

        call_command("bootstrap", stdout=StringIO())
        import monitoring.tasks  # noqa: F401 (loaded before the first fork)

        make_channel(receiver)
        gc.freeze()
        problems = [
            problem
            for point in PLACES
            for number in range(times)
            for problem in trial(point, number)
        ]
        receipts = receipts_of(receiver)
    abouts = [f"{point}-{number}" for point in PLACES for number in range(times)]
    problems += judge(receipts, abouts)
    again = sum(count - 1 for count in Counter(e["idempotency_key"] for e in receipts).values())
    for problem in problems[:20]:
        say(f"  {problem}")
    kills = len(abouts) * len(CHANGES)
    say(f"{kills} kills, {len(receipts)} deliveries, {again} again, {len(problems)} problems")
    return not problems


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="alert_kills", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="trials at each place")
    parser.add_argument("--embedded", action="store_true", help="on SQLite")
    options = parser.parse_args(arguments)
    return 0 if run(options.times, embedded=options.embedded) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
