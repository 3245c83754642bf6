"""Runs the processes of the Procfile together, and with `--demo` the example services too.

`./dev run` becomes this program once everything is prepared. honcho starts the processes, merges
their output and stops them all when one gives up; this module adds that a process which was killed
is started again, that none outlives a killed supervisor, that services are stopped before the hub
at which they sign off, and the word when the hub is ready.
"""

import ctypes
import functools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen

ROOT = Path(__file__).resolve().parent
READY_SECONDS = 60.0
GUEST_SECONDS = 10.0  # services have 8 s to sign off and end
KILL_SECONDS = 15.0
PR_SET_PDEATHSIG = 1

# A process that a signal ended (the kernel's out-of-memory killer, `kill -9`) is started again; one
# that ends by itself ends the hub, so that a wrong setting is seen and not tried for ever. honcho
# stops the whole group with TERM; USR1 is what the kernel sends when the supervisor itself is gone
# (HUP would be ignored below nohup), HUP when the terminal is.
# Either may come before there is a child to hear of it.
RESTARTING = """
trap 'stopping=1' TERM
trap 'stopping=1; kill -TERM "$child"' HUP USR1
while :; do
  { %s
  } &
  child=$!
  [ -z "$stopping" ] || kill -TERM "$child"
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
  [ -z "$stopping" ] && [ "$code" -gt 128 ] || exit "$code"
  echo "ended by signal $((code - 128)): starting it again"
  sleep 1
done
"""


class HubManager(Manager):
    """honcho's manager, safe against a stop that comes very early or that is not obeyed.

    The guests are stopped first: until they have ended, the hub has to answer them.
    """

    _terminating: bool

    def __init__(self, printer: Printer, guests: Iterable[str]) -> None:
        super().__init__(printer)
        self._guests = set(guests)

    def terminate(self) -> None:
        if not self._all_started():  # honcho cannot stop a process whose id it has not heard yet
            self._later(0.05, self.terminate)
            return
        if not self._terminating:
            self._terminating = True
            self._later(GUEST_SECONDS + KILL_SECONDS, self.kill)
            self._stop(self._guests)
            self._stop_hub(time.monotonic() + GUEST_SECONDS)

    def _stop_hub(self, latest: float) -> None:
        if self._running(self._guests) and time.monotonic() < latest:
            self._later(0.05, functools.partial(self._stop_hub, latest))
        else:
            self._stop(set(self._processes))

    def _running(self, names: set[str]) -> list[str]:
        return [name for name in names if "returncode" not in self._processes[name]]

    def _stop(self, names: set[str]) -> None:
        for name in self._running(names):
            self._system_print(f"stopping {name}\n")
            self._procmgr.terminate(self._processes[name]["pid"])

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()


class HubPrinter(Printer):
    """Prints what the processes say, and starts to look for the ready hub after the last fork."""

    def __init__(self, announce: Callable[[], None]) -> None:
        super().__init__(sys.stdout)
        self._announcer = threading.Thread(target=announce, daemon=True)

    def write(self, message: Message) -> None:
        if self._announcer.ident is None:
            self._announcer.start()
        super().write(message)


def start_child(
    supervisor: int, command: str, *, env: Mapping[str, str], cwd: str | None
) -> "subprocess.Popen[bytes]":
    """Start a process that ends when the supervisor does, even if that was killed.

    honcho calls this in the process that it forks for each entry.
    """
    end_with_parent(supervisor, signal.SIGKILL)
    ending = functools.partial(end_with_parent, os.getpid(), signal.SIGUSR1)
    child: subprocess.Popen[bytes] = Popen(command, env=env, cwd=cwd, preexec_fn=ending)
    return child


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Ask the kernel to send the signal to this process when its parent is gone (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it was gone before it was asked
            os.kill(os.getpid(), number)


def demo_processes(environment: Mapping[str, str]) -> dict[str, str]:
    """The commands of the example services and of the program that sends them work, by name.

    They read the API key from their environment, because arguments are seen by everyone.
    """
    hub = f"http://{reachable_host(environment)}:{environment['SERVICE_PORT']}/api"
    options = f'--hub {hub} --data-dir "$DATA_DIR/demo"'
    return {
        "services": f"exec python -m reference_services all {options}",
        "demo": f"exec python -m reference_services.demo {options}",
    }


def demo_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the demo adds: the hub's access, and no line for each request.

    What it tells a person to look at would drown among them.
    """
    access = read_access(Path(environment["DATA_DIR"]))
    return {**access, "LOG_LEVEL": environment.get("LOG_LEVEL") or "warning"}


def read_access(data_dir: Path) -> dict[str, str]:
    """The login and the API key that the first start wrote, by variable name."""
    try:
        lines = (data_dir / "access.env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def reachable_host(environment: Mapping[str, str]) -> str:
    """The address at which this machine reaches the web server."""
    host = environment["SERVICE_HOST"]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (compared, not bound)
    return loopback.get(host, f"[{host}]" if ":" in host else host)


def announce_when_ready(environment: Mapping[str, str]) -> None:
    host, port = reachable_host(environment), int(environment["SERVICE_PORT"])
    deadline = time.monotonic() + READY_SECONDS
    while get_status(host.strip("[]"), port, "/health/ready") != 200:
        if time.monotonic() > deadline:
            print(f"Not ready after {READY_SECONDS:.0f} s: see the lines above.", flush=True)
            return
        time.sleep(0.25)
    base = f"http://{host}:{port}"
    print(
        f"\nService Integration is ready.\n"
        f"  Admin     {base}/admin/\n"
        f"  API       {base}/docs\n"
        f"  Login     {Path(environment['DATA_DIR']) / 'access.env'}\n"
        f"  Stop      Ctrl-C\n",
        flush=True,
    )


def get_status(host: str, port: int, path: str) -> int | None:
    """The status of a GET, None without an answer. An HTTP library would cost 10 MB for this."""
    request = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return int(answer.read().split(maxsplit=2)[1])
    except (OSError, IndexError, ValueError):
        return None


def main() -> int:
    multiprocessing.set_start_method("fork")  # what honcho's processes are made for
    # Its own 5 s are too short for steps under way.
    honcho.manager.KILL_WAIT = GUEST_SECONDS + KILL_SECONDS
    environment = dict(os.environ)
    data_dir = Path(environment["DATA_DIR"])
    processes = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)
    guests: dict[str, str] = {}
    if "--demo" in sys.argv[1:]:
        guests = demo_processes(environment)
        environment |= demo_environment(environment)
    processes |= guests
    printer = HubPrinter(functools.partial(announce_when_ready, environment))
    manager = HubManager(printer, guests)
    for name, command in processes.items():
        process = manager.add_process(name, RESTARTING % command, env=environment)
        process._child_ctor = functools.partial(start_child, os.getpid())
    manager.loop()
    (data_dir / "run" / "supervisor.pid").unlink(missing_ok=True)
    print("Stopped.", flush=True)
    return int(manager.returncode or 0)


if __name__ == "__main__":
    sys.exit(main())
