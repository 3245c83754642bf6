"""Runs the processes of the Procfile together, and with `--demo` the example services too.

`./dev run` becomes this program once everything is prepared. The first process that ends by itself
ends the hub with its exit code, so that a wrong setting is seen and not tried for ever; one that a
signal ended (the kernel's out-of-memory killer, `kill -9`) is started again. Services are stopped
before the hub at which they sign off, what does not end is killed, and nothing outlives a killed
supervisor.
"""

import contextlib
import ctypes
import functools
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
READY_SECONDS = 60.0
GUEST_SECONDS = 10.0  # services have 8 s to sign off and end
KILL_SECONDS = 15.0
RESTART_SECONDS = 1.0
DEMO_TTL_SECONDS = 30  # shorter than usual, for a person who stops a service and looks on
TICK_SECONDS = 0.1
PR_SET_PDEATHSIG = 1
PROCFILE_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)
COLOURS = ("36", "33", "32", "35", "31", "34")  # ANSI: cyan, yellow, green, magenta, red, blue
Process = subprocess.Popen[bytes]


@dataclass
class Program:
    """A line of the Procfile, and the process that runs it.

    Guests are started once the hub is ready, and stopped first: until they have ended, the hub has
    to answer them.
    """

    name: str
    command: str
    is_guest: bool = False
    process: Process | None = None
    restart_at: float | None = None
    has_ended: bool = False


class Supervisor:
    """Starts programs, prints what they write, and stops them all when one ends or a signal comes.

    Everything but the reading of output happens in the main thread: a process that is to end with
    its parent ends with the thread that started it.
    """

    def __init__(self, programs: list[Program], environment: Mapping[str, str]) -> None:
        self._programs = programs
        self._environment = environment
        self._exit_code: int | None = None
        self._stopping_since: float | None = None
        self._has_stopped_hub = False
        self._processes_read: set[Process] = set()  # whose output has not come to its end
        # Lines of processes (None at the end), signals, and None when the hub is ready: of all
        # queues, only this one may be filled by a signal's handler.
        self._events: queue.SimpleQueue[
            tuple[Program, Process, bytes | None] | signal.Signals | None
        ]
        self._events = queue.SimpleQueue()

    def run(self, wait_until_ready: Callable[[], None]) -> int:
        """Run until every program has ended; return the exit code.

        `wait_until_ready` is called in a thread, and returns when guests may start.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda number, _: self._events.put(signal.Signals(number)))
        for program in self._programs:
            if not program.is_guest:
                self._start(program)
        threading.Thread(target=self._invite, args=(wait_until_ready,), daemon=True).start()
        while running := self._running():
            self._handle_event()
            now = time.monotonic()
            for program in running:
                self._follow(program, now)
            if self._stopping_since is not None:
                self._go_on_stopping(now - self._stopping_since)
        return self._exit_code or 0

    def _running(self) -> list[Program]:
        return [program for program in self._programs if not program.has_ended]

    def _start(self, program: Program) -> None:
        program.restart_at = None
        program.process = subprocess.Popen(
            ["/bin/sh", "-c", program.command],
            env=self._environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
            preexec_fn=functools.partial(end_with_parent, os.getpid()),
        )
        self._processes_read.add(program.process)
        threading.Thread(target=self._read, args=(program, program.process), daemon=True).start()
        self._print("system", f"{program.name} started (pid={program.process.pid})")

    def _invite(self, wait_until_ready: Callable[[], None]) -> None:
        wait_until_ready()
        self._events.put(None)

    def _start_guests(self) -> None:
        if self._stopping_since is None:
            for program in self._programs:
                if program.process is None:
                    self._start(program)

    def _read(self, program: Program, process: Process) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._events.put((program, process, line))
        self._events.put((program, process, None))

    def _handle_event(self) -> None:
        """Wait for a line, a signal, or the next look at the clock where that matters."""
        has_deadlines = any(program.restart_at for program in self._programs)
        is_waiting = has_deadlines or self._stopping_since is not None
        try:
            event = self._events.get(timeout=TICK_SECONDS if is_waiting else None)
        except queue.Empty:
            return
        if event is None:
            self._start_guests()
        elif isinstance(event, tuple):
            program, process, line = event
            if line is None:
                self._processes_read.discard(process)
            else:
                self._print(program.name, line.decode(errors="replace"))
        elif event != signal.SIGCHLD:
            self._print("system", f"{event.name} received")
            self._stop_all(exit_code=128 + event)

    def _follow(self, program: Program, now: float) -> None:
        """Start a program again that a signal ended, or note that it has ended for good."""
        is_stopping = self._stopping_since is not None
        if program.process is None:
            program.has_ended = is_stopping
            return
        code = program.process.poll()
        if code is None:
            return
        code = 128 - code if code < 0 else code  # as a shell tells it
        if is_stopping or code <= 128:
            if program.process not in self._processes_read:
                program.has_ended = True
                self._print("system", f"{program.name} stopped (rc={code})")
                self._stop_all(exit_code=code if self._exit_code is None else self._exit_code)
        elif program.restart_at is None:
            program.restart_at = now + RESTART_SECONDS
            self._print(program.name, f"ended by signal {code - 128}: starting it again")
        elif now >= program.restart_at:
            self._start(program)

    def _stop_all(self, *, exit_code: int) -> None:
        """Stop the guests; the rest follows once they have ended or have had their time."""
        self._exit_code = exit_code
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._send(signal.SIGTERM, [program for program in self._running() if program.is_guest])

    def _go_on_stopping(self, seconds: float) -> None:
        running = self._running()
        has_guests = any(program.is_guest for program in running)
        if not self._has_stopped_hub and (not has_guests or seconds >= GUEST_SECONDS):
            self._has_stopped_hub = True
            self._send(signal.SIGTERM, running)
        if seconds >= GUEST_SECONDS + KILL_SECONDS:
            self._send(signal.SIGKILL, running)
            self._processes_read.clear()  # who left the group may keep its output open for ever

    def _send(self, number: signal.Signals, programs: list[Program]) -> None:
        for program in programs:
            if program.process is None:
                continue
            verb = "stopping" if number == signal.SIGTERM else "killing"
            self._print("system", f"{verb} {program.name}")
            # PermissionError is what macOS says of a group that has ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(program.process.pid, number)

    def _print(self, name: str, text: str) -> None:
        names = ["system", *(program.name for program in self._programs)]
        width = max(map(len, names))
        for line in text.splitlines():
            prefix = f"{time.strftime('%H:%M:%S')} {name:<{width}} | "
            if name != "system" and sys.stdout.isatty():
                colour = COLOURS[names.index(name) % len(COLOURS)]
                prefix = f"\033[0m\033[{colour}m{prefix}\033[0m"
            print(f"{prefix}{line}", flush=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel send TERM to this process when its parent is gone (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before it was asked
            os._exit(0)


def demo_processes(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the commands of the example services and of the program that sends them work, by name.

    They read the API key from their environment, because arguments are seen by everyone.
    """
    hub = f"http://{reachable_host(environment)}:{environment['SERVICE_PORT']}/api"
    options = f'--hub {hub} --data-dir "$DATA_DIR/demo"'
    return {
        "services": f"exec python -m reference_services all --ttl {DEMO_TTL_SECONDS} {options}",
        "demo": f"exec python -m reference_services.demo {options}",
    }


def demo_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the demo adds: the hub's access, and no line for each request.

    What it tells a person to look at would drown among them.
    """
    access = read_access(Path(environment["DATA_DIR"]))
    return {**access, "LOG_LEVEL": environment.get("LOG_LEVEL") or "warning"}


def read_access(data_dir: Path) -> dict[str, str]:
    """Return the login and the API key that the first start wrote, by variable name."""
    try:
        lines = (data_dir / "access.env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def reachable_host(environment: Mapping[str, str]) -> str:
    """Return the address at which this machine reaches the web server."""
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
    """Return the status of a GET, None without an answer. An HTTP library would cost 10 MB."""
    request = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return int(answer.read().split(maxsplit=2)[1])
    except (OSError, IndexError, ValueError):
        return None


def main() -> int:
    environment = dict(os.environ)
    procfile = (ROOT / "Procfile").read_text()
    programs = [Program(name, command) for name, command in PROCFILE_LINE.findall(procfile)]
    if "--demo" in sys.argv[1:]:
        guests = demo_processes(environment).items()
        programs += [Program(name, command, is_guest=True) for name, command in guests]
        environment |= demo_environment(environment)
    announce = functools.partial(announce_when_ready, environment)
    code = Supervisor(programs, environment).run(announce)
    # Emptied, not removed: it is locked.
    (Path(environment["DATA_DIR"]) / "run" / "supervisor.pid").write_text("")
    print("Stopped.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
