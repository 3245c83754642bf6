"""LiteLLM's proxy with the same model, key and prices, from a virtual environment of its own.

It has no database here: it keeps no record of requests and holds no budget, which favours it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2

from benchmarks.models.callers import Door
from benchmarks.models.ground import MODEL, PRICE, PROVIDER_KEY, WHOLE
from benchmarks.testbed.peer_environment import PackagesMissing, prepare_environment
from benchmarks.web.ground import Bench
from tests.support.real_hub import ROOT
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import until

PINNED = ROOT / "requirements-bench-litellm.txt"
DIRECTORY = ROOT / "var" / "bench-venv-litellm"
KEY = "sk-of-the-caller"
# It imports for seconds, and longer on a busy machine.
START_SECONDS = 180
# Of every kind that it fetches at its start.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}


@contextlib.contextmanager
def running_peer(bench: Bench, port: int) -> Iterator[Door | None]:
    """Run it, with a process for each core; None where it is not wanted or cannot be installed."""
    if bench.options.no_peer:
        yield None
        return
    try:
        python = prepare_environment(PINNED, DIRECTORY)
    except PackagesMissing as error:
        bench.say(f"LiteLLM is left out: {error}")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="si-bench-") as name:
        yield from _run(python, Path(name), port)


def _run(python: Path, directory: Path, port: int) -> Iterator[Door]:
    config, own_port = directory / "config.yaml", free_port()
    config.write_text(json.dumps(config_for(port)))  # JSON is YAML
    command = [str(python), "-m", "litellm.proxy.proxy_cli", "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(own_port)]
    command += ["--num_workers", str(os.cpu_count() or 1)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **OFFLINE},
            stdout=log,
            stderr=log,
            preexec_fn=ending_with_this(signal.SIGTERM),
        )
        try:
            door = Door(own_port, KEY)
            until(lambda: answers(door), "LiteLLM answers", seconds=START_SECONDS)
            yield door
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                print("LiteLLM did not end when asked.", file=sys.stderr)


def answers(door: Door) -> bool:
    """Return whether a model is asked there; who listens may not have begun to."""
    with contextlib.suppress(httpx2.HTTPError):
        headers = {"Authorization": f"Bearer {door.key}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{door.port}{door.path}"
        return httpx2.post(url, content=WHOLE, headers=headers, timeout=60).status_code == 200
    return False


def config_for(port: int) -> dict[str, object]:
    """Return its configuration for the provider on this port."""
    model = {
        "model": f"openai/{MODEL}",
        "api_base": f"http://127.0.0.1:{port}/v1",
        "api_key": PROVIDER_KEY,
        "input_cost_per_token": float(PRICE["input"]) / 1e6,
        "output_cost_per_token": float(PRICE["output"]) / 1e6,
    }
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": model}],
        "litellm_settings": {"num_retries": 0},
        "general_settings": {"master_key": KEY},
    }
