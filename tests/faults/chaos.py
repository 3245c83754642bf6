"""Faults on a hub at work, each from a thread of its own, until the storm ends."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests.faults.hub_under_test import Server
from tests.faults.load import ask
from tests.support.real_hub import ROOT, WORKER, Hub

SHUFFLE = """
local found = redis.call('LRANGE', KEYS[1], 0, -1)
if #found == 0 or #found > 300 then return 0 end
redis.call('DEL', KEYS[1])
local all = {}
for _, message in ipairs(found) do for _ = 1, 3 do table.insert(all, message) end end
math.randomseed(tonumber(ARGV[1]))
for i = #all, 2, -1 do local j = math.random(i); all[i], all[j] = all[j], all[i] end
for _, message in ipairs(all) do redis.call('RPUSH', KEYS[1], message) end
return #found
"""


class Workers:
    """Worker processes that are started again as soon as they are gone."""

    def __init__(
        self, hub: Hub, roots: list[Path], *, pause_seconds: float = 0.0, **more: str
    ) -> None:
        self._hub, self._more, self._pause = hub, more, pause_seconds
        self.lock = threading.RLock()
        self.deaths = 0
        self.slots = [(root, self._start(root)) for root in roots]
        self.stopped: set[int] = set()

    def _start(self, root: Path) -> subprocess.Popen[bytes]:
        paths = {} if root == ROOT else {"PYTHONPATH": str(root / "client" / "src")}
        return self._hub.run(WORKER, root=root, **self._more, **paths)

    def revive(self) -> None:
        """Start those again that have ended."""
        with self.lock:
            for number, (root, process) in enumerate(self.slots):
                if process.poll() is not None:
                    self.deaths += 1
                    self._hub.processes.remove(process)
                    threading.Event().wait(self._pause)
                    self.slots[number] = root, self._start(root)

    def pick(self, chance: random.Random) -> subprocess.Popen[bytes] | None:
        """One that is at work, not starting or stopped: killed before, it would have nothing."""
        free = ask(working_processes) - self.stopped
        running = [p for _, p in self.slots if p.poll() is None and p.pid in free]
        return chance.choice(running) if running else None


def working_processes() -> set[int]:
    """The processes whose engines have shown themselves."""
    from workflows.models import Worker

    names = Worker.objects.values_list("name", flat=True)
    # host:place:process:began:key, and host:process:key of older code
    return {int(name.split(":")[-3 if name.count(":") == 4 else -2]) for name in names}


class Storm:
    """The faults, and when each happened."""

    def __init__(self, workers: Workers, *, lease_seconds: float, kill_seconds: float) -> None:
        self.workers, self.lease, self.kill_seconds = workers, lease_seconds, kill_seconds
        self.chance = random.Random(7)
        self.timeline: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        self.began = time.monotonic()
        self._over = threading.Event()
        self._ended: list[threading.Event] = []
        self.every(0.1, workers.revive)

    def every(self, seconds: float, fault: Callable[[], Any]) -> None:
        """Let a fault happen again and again."""

        ended = threading.Event()

        def run() -> None:
            while not self._over.wait(seconds):
                fault()
            ended.set()
            # What this thread started is to end with its parent, and to the kernel that is the
            # thread: it stays until the process ends.
            threading.Event().wait()

        self._ended.append(ended)
        threading.Thread(target=run, daemon=True).start()

    def note(self, what: str) -> None:
        self.counts[what] += 1
        self.timeline.append((time.monotonic() - self.began, what))

    def end(self) -> float:
        """Let the last faults heal; when that was."""
        self._over.set()
        for ended in self._ended:
            ended.wait(90)
        self.workers.revive()
        return time.monotonic()

    # The faults

    def kill_worker(self) -> None:
        with self.workers.lock:
            process = self.workers.pick(self.chance)
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                self.note("worker killed")

    def stop_worker(self) -> None:
        """Halt a worker for longer than its lease, and let it go on."""
        with self.workers.lock:
            process = self.workers.pick(self.chance)
            if process is None:
                return
            self.workers.stopped.add(process.pid)
            process.send_signal(signal.SIGSTOP)
            self.note("worker stopped")
        time.sleep(self.lease + 2)
        with self.workers.lock:
            process.send_signal(signal.SIGCONT)
            self.workers.stopped.discard(process.pid)
            self.note("worker continued")

    def restart_database(self, server: Server) -> None:
        """As `pg_ctl stop -m immediate` does, and a start."""
        server.stop(signal.SIGQUIT)
        self.note("database stopped at once")
        server.start()
        self.note("database started")

    def trouble_broker(self, server: Server, client: redis.Redis) -> None:
        """Forget all messages; every other time, end the broker too."""
        client.flushall()
        self.note("broker flushed")
        if self.counts["broker flushed"] % 2 == 0:
            server.stop(signal.SIGKILL)
            server.start()
            self.note("broker restarted")

    def shuffle_messages(self, client: redis.Redis, queue: str) -> None:
        """Let every waiting message come three times, in any order."""
        try:
            shuffled = client.eval(SHUFFLE, 1, queue, str(self.chance.randrange(10**6)))
        except redis.RedisError:
            return
        self.counts["messages tripled and shuffled"] += int(shuffled)

    def repeat_hint(self, steps: Callable[[], list[str]]) -> None:
        """Tell workers three times, out of order, of rows old and new."""
        from workflows.signalling.notifier import NotifierError, own_notifier

        ids = steps() * 3
        self.chance.shuffle(ids)
        for step_id in ids:
            try:
                own_notifier().tell_ready([step_id])
            except NotifierError:  # the broker is just away
                return
            self.counts["hints repeated out of order"] += 1

    def tell(self) -> str:
        return json.dumps(dict(sorted(self.counts.items())))
