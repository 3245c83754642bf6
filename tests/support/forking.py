"""Real processes that have loaded the hub once: one loads it, the others are its forks."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable


def run_forks(module: str, count: int, *arguments: str) -> list[str]:
    """Run a module that ends in `fork`, and return the line of each of its forks."""
    command = [sys.executable, "-m", module, str(count), *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return result.stdout.splitlines()


def set_up(database: str) -> None:
    """Set Django up on a database, with no connection yet: each fork opens its own."""
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()


def fork(count: int, work: Callable[[], str]) -> None:
    """Have so many processes work at once and print what comes of it, a line each."""
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            _work_and_end(work)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(map(abs, codes)))


def _work_and_end(work: Callable[[], str]) -> None:
    try:
        os.write(1, f"{work()}\n".encode())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
