"""The embedded broker: kombu's file transport, with every file appearing whole.

The original creates a file and then fills it, so that a reader may find it empty, and takes
messages through the system's temporary folder. Here files are renamed into place, and taken by
renaming.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

# A message that its taker left behind when it was killed is removed after this long: messages are
# hints, and nobody waits for it.
FORGET_SECONDS = 3600
# While no worker runs, messages pile up; each says no more than "look", so the rest is dropped.
MOST_WAITING = 500


class Channel(filesystem.Channel):
    """One file per message, in one folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._forget_leftovers()

    def _forget_leftovers(self) -> None:
        oldest = time.time() - FORGET_SECONDS
        for file in Path(self.data_folder_in).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if file.suffix in (".taken", ".new") and file.stat().st_mtime < oldest:
                    file.unlink()

    def get_table(self, exchange: str) -> list[Any]:
        """The queues that are bound to an exchange."""
        try:
            table = loads(self._table_file(exchange).read_text())
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*entry) for entry in table]

    def _table_file(self, exchange: str) -> Path:
        file: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]
        return file

    def _queue_bind(
        self, exchange: str, routing_key: str | None, pattern: str | None, queue: str
    ) -> None:
        entry = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        table = self.get_table(exchange)
        if entry not in table:
            file = self._table_file(exchange)
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(file, dumps([entry, *table]))

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        if len(os.listdir(self.data_folder_out)) >= MOST_WAITING:
            return
        name = f"{time.time_ns()}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f"{name}.taken"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            text = taken.read_text()
            taken.unlink()
            return loads(text)
        raise Empty


class Transport(filesystem.Transport):
    """The transport that the broker URL `files://` stands for."""

    Channel = Channel


def _write_whole(file: Path, text: str | bytes) -> None:
    temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.new")
    temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
    temporary.rename(file)
