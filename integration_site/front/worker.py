"""How gunicorn runs the front: uvicorn on uvloop, within limits for slow peers."""

from __future__ import annotations

import os
import signal
from typing import Any

from uvicorn_worker import UvicornWorker


class FrontWorker(UvicornWorker):
    """A process that serves the front."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # Django logs each request, with its id
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 5,
        "timeout_notify": 1,
    }

    async def callback_notify(self) -> None:
        """Tell gunicorn that this process lives, and end with it if it was killed."""
        self.notify()
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)
