"""A bounded cache in the memory of a process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(OrderedDict[K, V]):
    """Keep at most `most` values; a new one beyond that drops the one stored longest ago.

    To read is to read a dictionary. Threads may share it. How long a value holds is for its users
    to say, each by a clock or a version of its own.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._writing = threading.Lock()

    def __setitem__(self, key: K, value: V) -> None:
        with self._writing:
            super().__setitem__(key, value)
            self.move_to_end(key)
            if len(self) > self._most:
                self.popitem(last=False)
