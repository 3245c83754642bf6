"""How gunicorn runs the front: uvicorn on uvloop, within limits for slow peers."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from core.api.stopping import begin_stopping

if TYPE_CHECKING:
    from integration_site.front.protocol import FrontProtocol

GRACE_SECONDS = 8
LEAVE_SECONDS = 1.0
# How long a thread that computes keeps others waiting each time that they have waited for something
# else, such as the database, which a request does a dozen times.
SWITCH_SECONDS = 0.0005
# At most, and as far as the system lets this process open files; so many are for other things.
MOST_CONNECTIONS = 10_000
OTHER_FILES = 256


class FrontServer(Server):
    """Stops once what is under way is answered, and waits for nobody else."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        begin_stopping()
        asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._drop_others)
        await super().shutdown(sockets)

    def _drop_others(self) -> None:
        """Drop who has been answered, and still has not taken the answer or asks on."""
        for connection in list(self.server_state.connections):
            if not cast("FrontProtocol", connection).has_request():
                connection.transport.abort()


class FrontWorker(UvicornWorker):
    """A process that serves the front."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # Django logs each request, with its id
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "timeout_notify": 1,
    }

    async def _serve(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        # Once the application is loaded, and with it the settings.
        from integration_site.front.connections import Connections
        from integration_site.front.protocol import protocol_for

        self.config.app = self.wsgi
        self.config.http = protocol_for(
            Connections(
                most=min(MOST_CONNECTIONS, _raise_file_limit() - OTHER_FILES),
                per_address=settings.CONNECTIONS_PER_ADDRESS,
                trusted=settings.TRUSTED_PROXIES,
            )
        )
        server = FrontServer(self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)

    async def callback_notify(self) -> None:
        """Tell gunicorn that this process lives, and end with it if it was killed."""
        self.notify()
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)


def _raise_file_limit() -> int:
    """Let this process open as many files as the system allows it to; return how many."""
    most = 2 * MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return most if soft == resource.RLIM_INFINITY else soft
