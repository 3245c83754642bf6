"""The embedded broker: a transport of kombu that keeps each message as a file.

kombu's own file transport creates a file and then fills it, so that a reader may find it empty,
and keeps whatever nobody takes. Here files are renamed into place and taken by renaming, and only
so many wait. What it defines, `_put`, `_get` and `_purge`, is what kombu asks of any transport.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import virtual
from kombu.utils.json import dumps, loads

# A message that its taker left behind when it was killed is removed after this long: messages are
# hints, and nobody waits for it.
FORGET_SECONDS = 3600
# While no worker runs, messages pile up; each says no more than "look", so the rest is dropped.
MOST_WAITING = 500


class Channel(virtual.Channel):
    """One file per message, in the folder that the transport option `folder` names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        client: Any = self.connection.client
        self._folder = Path(client.transport_options["folder"])
        self._folder.mkdir(parents=True, exist_ok=True)
        self._forget_leftovers()

    def _forget_leftovers(self) -> None:
        oldest = time.time() - FORGET_SECONDS
        for file in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if file.suffix in (".taken", ".new") and file.stat().st_mtime < oldest:
                    file.unlink()

    def _waiting(self, queue: str) -> Iterator[Path]:
        """Yield the files of a queue, the oldest first."""
        for name in sorted(os.listdir(self._folder)):
            if name.partition(".")[2] == f"{queue}.msg":
                yield self._folder / name

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        if len(os.listdir(self._folder)) >= MOST_WAITING:
            return
        file = self._folder / f"{time.time_ns()}_{uuid.uuid4().hex}.{queue}.msg"
        unfinished = file.with_name(f"{file.name}.new")
        unfinished.write_text(dumps(message))
        unfinished.rename(file)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for file in self._waiting(queue):
            taken = file.with_name(f"{file.name}.taken")
            try:
                file.rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            text = taken.read_text()
            taken.unlink()
            return loads(text)
        raise Empty

    def _purge(self, queue: str) -> int:
        files = list(self._waiting(queue))
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)


class FilesystemTransport(virtual.Transport):
    """The transport that the broker URL `files://` stands for."""

    Channel = Channel
    # Queues are bound in each process by itself, whichever connection it is that sends.
    global_state = virtual.BrokerState()
    default_port = 0
    driver_type = driver_name = "files"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = self.global_state
