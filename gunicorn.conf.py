"""Settings of gunicorn, which reads this file from the project root."""

import os
import sys

# gunicorn reads this file before it looks for modules in the folder that it was started in.
sys.path.insert(0, os.getcwd())
from integration_site.configuration.reading import read_or_end
from integration_site.configuration.web_processes import default_web_processes

_env = read_or_end(os.environ)
_host, _port = _env["SERVICE_HOST"], _env["SERVICE_PORT"]
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

workers = _env["WEB_PROCESSES"] or default_web_processes(_env)
# Loaded once, before the processes are made: they share the memory of what they do not change. One
# alone has nobody to share with: the arbiter's copy would cost forty megabytes for nothing.
preload_app = workers > 1
worker_class = "integration_site.front.worker.FrontWorker"

# More than the front takes for what is under way.
graceful_timeout = 10
# Longer than clients keep idle connections: one that the server drops first fails their next call.
keepalive = 75
loglevel = _env["LOG_LEVEL"].lower()
accesslog = None  # Django logs each request, with its id

# Whom to believe is said by TRUSTED_PROXIES, in one place.
forwarded_allow_ips = ""

# It would listen below HOME, where two hubs of one user would meet.
control_socket_disable = True


def when_ready(_server: object) -> None:
    """Freeze the application that was loaded before it is shared: it is there to stay."""
    if preload_app:
        _freeze()


def post_worker_init(_worker: object) -> None:
    """Freeze the application that a process has loaded for itself."""
    if not preload_app:
        _freeze()


def _freeze() -> None:
    # Imported here: gunicorn reads this file before Django is set up.
    from core.gc_tuning import freeze_loaded_objects

    freeze_loaded_objects()


def worker_exit(_server: object, _worker: object) -> None:
    """Close what requests called services with, once the last one is answered."""
    from registry.calls.blocking_client import close_shared_client  # the settings are there by now

    close_shared_client()
