"""The `./dev` script: its decisions, and real starts and stops of a tiny project."""

import ast
import contextlib
import errno
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from integration_site import single_instance
from tests.support.backends import summarise
from tests.support.servers import free_port
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent

WEB = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
address = os.environ["SERVICE_HOST"], int(os.environ["SERVICE_PORT"])
print("web process", os.getpid(), flush=True)
http.server.HTTPServer(address, Handler).serve_forever()
"""
WORKER = """
import os, signal
print("worker process", os.getpid(), flush=True)
signal.pause()
"""


# Takes its time to sign off, as a service with work under way does.
SERVICES = """
import os, signal, time, urllib.request
url = f"http://127.0.0.1:{os.environ['SERVICE_PORT']}/sign-off"
def sign_off(*_):
    time.sleep(0.5)
    print("signed off:", urllib.request.urlopen(url).status, flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, sign_off)
print("services process", os.getpid(), os.environ["LOG_LEVEL"], flush=True)
while True:
    signal.pause()
"""


def load_dev() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("dev_script", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


dev = load_dev()


def test_script_parses_on_old_pythons() -> None:
    assert ast.parse((ROOT / "dev").read_text(), feature_version=(3, 6))


def test_script_imports_only_the_standard_library() -> None:
    tree = ast.parse((ROOT / "dev").read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    # These keep to the standard library too, by an import contract.
    own = {"integration_site.single_instance", "integration_site.configuration.reading"}
    assert {name.split(".")[0] for name in names - own} <= sys.stdlib_module_names


def test_old_python_says_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed, this is 3\.9"):
        dev.reexec_with_newer_python((3, 9, 2))


def test_old_python_passes_over_launchers_that_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[list[str]] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/launchers/{name}")
    monkeypatch.setattr(subprocess, "call", lambda command, **_: "3.12" not in command[0])
    monkeypatch.setattr(os, "execv", lambda path, arguments: replaced.append(arguments))
    with pytest.raises(SystemExit):
        dev.reexec_with_newer_python((3, 9, 2))
    assert [arguments[0] for arguments in replaced] == ["/launchers/python3.12"]


@pytest.mark.parametrize("version", ["", "3", "3.10", "3.99", "2.7", "3.1x", "../3.12"])
def test_python_that_is_not_there_or_too_old_is_refused(version: str) -> None:
    with pytest.raises(dev.SetupError, match="name one from"):
        dev.find_python(version)


def test_tests_on_another_python_have_an_environment_of_their_own(tmp_path: Path) -> None:
    version = f"3.{sys.version_info.minor}"
    program = tmp_path / f"python{version}"
    program.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$DEV_VENV" "$@"\n')
    program.chmod(0o700)
    launcher = tmp_path / "shims" / program.name
    launcher.parent.mkdir()
    launcher.write_text("#!/bin/sh\nexit 127\n")
    launcher.chmod(0o700)
    path = os.pathsep.join(map(str, (launcher.parent, tmp_path, os.environ["PATH"])))
    said = subprocess.run(
        [sys.executable, ROOT / "dev", "test", "--python", version, "-k", "x"],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.split() == [f".venv-{version}", str(ROOT / "dev"), "test", "-k", "x"]


@pytest.mark.parametrize(("uv_works", "programs"), [(True, ["uv"]), (False, ["uv", "pip"])])
def test_packages_are_installed_by_uv_and_where_it_cannot_by_pip(
    monkeypatch: pytest.MonkeyPatch, uv_works: bool, programs: list[str]
) -> None:
    commands: list[list[str]] = []

    def call(command: list[str], **_: object) -> int:
        commands.append(command)
        return 0 if uv_works or "/bin/uv" not in command else 2

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "call", call)
    dev.install(["requirements.txt"])
    assert len(commands) == len(programs)
    for command, program in zip(commands, programs, strict=True):
        assert Path(command[0]).name == program or command[1:3] == ["-m", program]
        assert {"--require-hashes", "--no-deps", "-q"} <= set(command)


def test_start_ends_with_a_sentence_where_nothing_could_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(dev.SetupError, match="the lines above say why"):
        dev.install(["requirements.txt"])


def test_python_without_pip_says_which_package_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(dev, "VENV", tmp_path)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(dev.SetupError, match="apt install python3-venv"):
        dev.install(["requirements.txt"])


def test_taken_port_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(dev.SetupError, match=f"Port {port} .* is taken: .*SERVICE_PORT"):
            dev.check_port("127.0.0.1", port)


def test_free_port_is_accepted() -> None:
    assert dev.check_port("127.0.0.1", free_port()) is None


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EACCES, "above 1023"), (errno.EADDRNOTAVAIL, "SERVICE_HOST")],
)
def test_unusable_address_says_what_to_set(number: int, advice: str) -> None:
    assert advice in dev.port_problem("127.0.0.1", 80, OSError(number, "refused"))


def test_wrong_settings_are_all_named_before_anything_is_made() -> None:
    with pytest.raises(dev.SetupError, match=r"(?s)SERVICE_PORT is 'http'.*LOG_LEVEL is 'loud'"):
        dev.read_configuration({"SERVICE_PORT": "http", "LOG_LEVEL": "loud", "SECRET_KEY": ""})


def test_full_disk_says_how_much_is_missing(tmp_path: Path) -> None:
    with pytest.raises(dev.SetupError, match="MB are needed"):
        dev.check_disk(tmp_path, 10**9)


def test_data_dir_is_for_the_owner_alone(tmp_path: Path) -> None:
    path = dev.prepare_data_dir({"DATA_DIR": str(tmp_path / "a" / "b")})
    assert path == tmp_path / "a" / "b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(dev.SetupError, match="set DATA_DIR"):
        dev.prepare_data_dir({"DATA_DIR": str(tmp_path / "file")})


def test_keys_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    dev.make_keys(tmp_path)
    first = (tmp_path / "keys.env").read_text()
    dev.make_keys(tmp_path)
    assert (tmp_path / "keys.env").read_text() == first
    assert len(first.strip().removeprefix("SECRET_KEY=")) >= 50
    assert stat.S_IMODE((tmp_path / "keys.env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.env"]


def test_simultaneous_starts_agree_on_one_key(tmp_path: Path) -> None:
    threads = [threading.Thread(target=dev.make_keys, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["keys.env"]


HOLDER = """
import os, sys, time
from pathlib import Path
from integration_site.single_instance import claim_data_dir
print(claim_data_dir(Path(sys.argv[1])) or os.getpid(), flush=True)
os.execv(sys.executable, [sys.executable, "-c", "input()"])
"""


@contextlib.contextmanager
def claimed_by_another(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that claims the data directory and then executes another program."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, data_dir],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == f"{process.pid}\n"
        yield process


def claim_here(data_dir: Path) -> str:
    """What a claim answers; it is given up at once, with the process that makes it."""
    command = [sys.executable, "-c", HOLDER.replace("input()", ""), str(data_dir)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def test_claim_names_the_process_that_holds_the_directory(data_dir: Path) -> None:
    with claimed_by_another(data_dir) as holder:
        assert claim_here(data_dir) == str(holder.pid)
        holder.communicate()


def test_killed_process_holds_nothing_even_before_anybody_notices(data_dir: Path) -> None:
    with claimed_by_another(data_dir) as holder:
        holder.kill()
        until(lambda: single_instance.is_zombie(holder.pid))
        assert claim_here(data_dir) != str(holder.pid)


@pytest.mark.parametrize(
    "content",
    ["", "no number", "999999999 5", pytest.param(str(os.getpid()), id="of a process that runs")],
)
def test_note_that_nobody_holds_means_nothing_runs(data_dir: Path, content: str) -> None:
    note = data_dir / "run" / "supervisor.pid"
    note.write_text(content)
    pid = claim_here(data_dir)
    assert pid not in ("", content)
    assert note.read_text() == f"{pid}\n"


def test_summary_names_each_reason_for_a_skip(tmp_path: Path) -> None:
    report = tmp_path / "sqlite.xml"
    report.write_text(
        "<testsuites><testsuite><testcase/><testcase><failure/></testcase>"
        '<testcase><skipped message="no browser"/></testcase></testsuite></testsuites>'
    )
    assert summarise("sqlite", tmp_path) == [
        "SQLite: 1 passed, 1 failed, 1 skipped",
        "  1 skipped: no browser",
    ]


def test_summary_says_when_pytest_never_began(tmp_path: Path) -> None:
    assert summarise("sqlite", tmp_path) == ["SQLite: stopped before any test ran"]


def test_compose_runs_what_the_procfile_runs() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    processes = dict(line.replace("exec ", "").split(": ", 1) for line in lines)
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert services["worker"]["command"] == processes["worker"]
    assert services["beat"]["command"] == processes["beat"]


# --- A tiny project, really started ---------------------------------------------------------------


class Hub:
    """A `./dev run` of the tiny project and what it has printed."""

    def __init__(self, project: Path, port: int, command: str) -> None:
        self.port = port
        environment = {**os.environ, "DATA_DIR": str(project / "data"), "SERVICE_PORT": str(port)}
        self.process = subprocess.Popen(
            [sys.executable, str(project / "dev"), command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._overdue = threading.Timer(PATIENCE, self.process.kill)
        self._overdue.start()

    def read_until(self, text: str) -> str:
        """The first line with the text that has not been read yet."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {''.join(self.lines)}")

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def read_pid(self, name: str) -> int:
        return int(self.read_until(f"{name} process").split()[-1])

    def end(self) -> int:
        """Read to the end; the exit code."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout
        code = self.process.wait()
        self._overdue.cancel()
        return code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a hub that only answers 200, and a virtual environment that is up to date."""
    for name in ("dev", "supervise.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "integration_site").symlink_to(ROOT / "integration_site")
    installed = ("requirements.txt", dev.CLIENT)
    for name in installed:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "manage.py").write_text("print('bootstrapped', flush=True)")
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "Procfile").write_text("web: exec python web.py\nworker: exec python worker.py\n")
    venv.create(tmp_path / ".venv", symlinks=True, with_pip=False)
    packages = next((tmp_path / ".venv").glob("lib/python*/site-packages"))
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    (tmp_path / ".venv" / "installed").write_text(
        "".join(f"{name} {dev.digest(tmp_path / name)}\n" for name in installed)
    )
    return tmp_path


def shorten_grace(project: Path) -> None:
    supervise = project / "supervise.py"
    text = supervise.read_text()
    for name in ("GUEST_SECONDS", "KILL_SECONDS"):
        text = re.sub(rf"^{name} = .*$", f"{name} = 0.5", text, flags=re.MULTILINE)
    supervise.write_text(text)


@contextlib.contextmanager
def running_hub(project: Path, command: str = "run") -> Iterator[Hub]:
    hub = Hub(project, free_port(), command)
    try:
        yield hub
    finally:
        if hub.process.poll() is None:
            hub.process.kill()
        hub.end()


def wait_until_gone(pids: list[int]) -> None:
    until(lambda: not any(single_instance.is_alive(pid) for pid in pids), f"{pids} are gone")


@pytest.mark.e2e
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_hub_stops_cleanly_on_a_signal(project: Path, number: signal.Signals, code: int) -> None:
    with running_hub(project) as hub:
        hub.read_until("is ready")
        started = single_instance.supervised_processes(project / "data")
        hub.process.send_signal(number)
        assert hub.end() == code
        assert len(started) == len(["supervisor", "web", "worker"])
        assert not any(single_instance.is_alive(pid) for pid in started)
        assert (project / "data" / "run" / "supervisor.pid").read_text() == ""


@pytest.fixture
def demo_project(project: Path) -> Path:
    """The project with services that sign off at its hub."""
    (project / "reference_services").mkdir()
    for name in ("__main__", "demo"):
        (project / "reference_services" / f"{name}.py").write_text(SERVICES)
    return project


@pytest.mark.e2e
def test_services_are_stopped_before_the_hub_at_which_they_sign_off(demo_project: Path) -> None:
    with running_hub(demo_project, "demo") as hub:
        # In no order: both services, and the word that the hub is ready.
        while "".join(hub.lines).count("services process") < 2 or not hub.has_said("is ready"):
            hub.read_until("")
        hub.process.send_signal(signal.SIGINT)
        assert hub.end() == 130
    said = [line.split("|", 1)[-1].strip() for line in hub.lines]
    assert said.count("signed off: 200") == 2
    first = min(said.index(f"stopping {name}") for name in ("web", "worker"))
    assert max(said.index(f"{name} stopped (rc=0)") for name in ("services", "demo")) < first


@pytest.mark.e2e
def test_service_that_does_not_end_keeps_the_hub_only_so_long(demo_project: Path) -> None:
    (demo_project / "reference_services" / "demo.py").write_text(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('services process', flush=True)\nwhile True: signal.pause()\n"
    )
    shorten_grace(demo_project)
    with running_hub(demo_project, "demo") as hub:
        while not (hub.has_said("services process") and hub.has_said("is ready")):
            hub.read_until("")  # the next line
        hub.process.send_signal(signal.SIGTERM)
        assert hub.end() == 143
        assert hub.has_said("killing demo")


@pytest.mark.e2e
def test_ctrl_c_reaches_the_services_only_through_the_supervisor(demo_project: Path) -> None:
    with running_hub(demo_project, "demo") as hub:
        while "".join(hub.lines).count("services process") < 2 or not hub.has_said("is ready"):
            hub.read_until("")
        groups = {
            pid: os.getpgid(pid)
            for pid in single_instance.supervised_processes(demo_project / "data")
        }
        others = {pid: group for pid, group in groups.items() if pid != hub.process.pid}
        assert others == {pid: pid for pid in others}, "each is the head of a group of its own"


@pytest.mark.e2e
def test_what_left_its_group_and_holds_the_output_does_not_keep_the_hub(project: Path) -> None:
    shorten_grace(project)
    (project / "worker.py").write_text(
        "import signal, subprocess, sys\n"
        "sleep = 'import time; time.sleep(600)'\n"
        "subprocess.Popen([sys.executable, '-c', sleep], start_new_session=True)\n"
        "print('worker process', flush=True)\n"
        "signal.pause()\n"
    )
    with running_hub(project) as hub:
        hub.read_until("worker process")
        hub.process.send_signal(signal.SIGTERM)
        assert hub.end() == 143
    (left,) = single_instance.supervised_processes(project / "data")
    os.kill(left, signal.SIGKILL)


@pytest.mark.e2e
def test_lines_bear_the_time_and_the_name_of_who_wrote_them(project: Path) -> None:
    (project / "worker.py").write_text(
        "import os\nos.write(1, b'caf\\xe9\\nand\\tmore\\n')\nos.write(2, b'last words')\n"
    )
    with running_hub(project) as hub:
        hub.end()
    lines = [line.rstrip("\n") for line in hub.lines if re.match(r"\d\d:\d\d:\d\d worker ", line)]
    assert [line[9:] for line in lines] == [
        "worker | caf\ufffd", "worker | and\tmore", "worker | last words",
    ]  # fmt: skip
    ended = next(line for line in hub.lines if "worker stopped (rc=0)" in line)
    assert hub.lines.index(lines[-1] + "\n") < hub.lines.index(ended)


@pytest.mark.e2e
def test_stop_that_comes_before_anything_runs_stops_the_hub(project: Path) -> None:
    with running_hub(project) as hub:
        hub.read_until("web started")
        hub.process.send_signal(signal.SIGTERM)
        assert hub.end() == 143
        assert hub.has_said("worker stopped")


@pytest.mark.e2e
@pytest.mark.parametrize(("given", "level"), [("", "warning"), ("debug", "debug")])
def test_demo_logs_no_requests_unless_told(
    demo_project: Path, monkeypatch: pytest.MonkeyPatch, given: str, level: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", given)
    with running_hub(demo_project, "demo") as hub:
        assert hub.read_until("services process").split()[-1] == level


@pytest.mark.e2e
def test_killed_supervisor_takes_its_processes_along_and_the_next_start_works(
    project: Path,
) -> None:
    with running_hub(project) as hub:
        hub.read_until("is ready")
        started = single_instance.supervised_processes(project / "data")
        hub.process.kill()
        wait_until_gone(started)
    with running_hub(project) as hub:
        assert hub.read_until("is ready")


@pytest.mark.e2e
def test_killed_process_is_started_again(project: Path) -> None:
    with running_hub(project) as hub:
        first = hub.read_pid("worker")
        os.kill(first, signal.SIGKILL)
        assert hub.read_pid("worker") != first


@pytest.mark.e2e
def test_process_that_gives_up_stops_the_hub_with_its_code(project: Path) -> None:
    (project / "worker.py").write_text("raise SystemExit(3)")
    with running_hub(project) as hub:
        assert hub.end() == 3


@pytest.mark.e2e
def test_second_start_on_the_same_data_is_refused(project: Path) -> None:
    with running_hub(project) as first:
        first.read_until("is ready")
        with running_hub(project) as second:
            assert second.end() == 1
            assert (
                f"already runs on {project / 'data'} as process {first.process.pid}"
                in (second.lines[0])
            )
        assert first.process.poll() is None


@pytest.mark.e2e
def test_processes_that_an_earlier_run_left_are_ended(project: Path) -> None:
    environment = {**os.environ, single_instance.SUPERVISED: str(project / "data")}
    with subprocess.Popen(
        [sys.executable, str(project / "worker.py")], env=environment, stdout=subprocess.PIPE
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        with running_hub(project) as hub:
            hub.read_until("left behind")
            hub.read_until("is ready")
        assert left.wait() == -signal.SIGTERM


@pytest.mark.e2e
def test_failed_bootstrap_ends_the_start_with_its_code(project: Path) -> None:
    (project / "manage.py").write_text("raise SystemExit('The database cannot be reached.')")
    with running_hub(project) as hub:
        assert hub.end() == 1
        assert hub.lines == ["The database cannot be reached.\n"]
