"""Loads the HTTP library with the first call, so that importing the client stays quick."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

# httpx2 needs Python 3.11; httpx, which it grew from, has the same names for all that is used.
NAME = "httpx2" if sys.version_info >= (3, 11) else "httpx"


@functools.cache
def http_library() -> Any:
    """Return the module: httpx2, or httpx where Python is older."""
    return importlib.import_module(NAME)
