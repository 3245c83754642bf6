"""``python -m reference_services NAME|all``: run one service, or all of them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from reference_services.console import add_hub_arguments, log_to_stderr, say
from reference_services.fleet import ChildProcess, run_fleet, service_command
from reference_services.runner import RunOptions, StartError, run
from reference_services.services import SERVICES
from service_integration_client import ServiceIntegrationError

ALL = "all"


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reference_services",
        description="Runs the reference services of a Service Integration hub.",
    )
    parser.add_argument("name", nargs="?", choices=[*SERVICES, ALL], metavar="NAME", help="or: all")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--port", type=_port, default=0, help="0, the default, finds a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--data-dir", type=Path, help="where the services keep their data")
    add_hub_arguments(parser)
    parser.add_argument(
        "--ttl", type=int, default=90, help="seconds until a silent service is gone"
    )
    parser.add_argument("--parent-pid", type=int, help="end when this is not the parent any more")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def main(argv: list[str] | None = None) -> int:
    parser = argument_parser()
    options = parser.parse_args(argv)
    if options.list:
        for name in SERVICES:
            say(name)
        return 0
    if not options.name or not options.data_dir:
        parser.error("NAME and --data-dir are needed; --list prints the names")
    if options.name == ALL and options.port:
        parser.error("--port is for a single service")
    log_to_stderr(options.log_level)
    try:
        options.data_dir.mkdir(parents=True, exist_ok=True)
        _run(options)
    except (StartError, ServiceIntegrationError, OSError, ValueError) as error:
        sys.stderr.write(f"{options.name}: {error}\n")
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.name == ALL:
        children = [_child(name, options) for name in SERVICES]
        asyncio.run(run_fleet(children, parent_pid=options.parent_pid))
        return
    run(
        SERVICES[options.name],
        RunOptions(
            data_dir=options.data_dir,
            port=options.port,
            host=options.host,
            hub_url=options.hub,
            api_key=options.api_key,
            ttl_seconds=options.ttl,
            parent_pid=options.parent_pid,
        ),
    )


def _child(name: str, options: argparse.Namespace) -> ChildProcess:
    """Return how a service is started.

    The key goes by the environment: arguments are seen by everyone on the machine.
    """
    arguments = ["--data-dir", str(options.data_dir), "--host", options.host]
    arguments += ["--ttl", str(options.ttl), "--log-level", options.log_level]
    environment = dict(os.environ)
    if options.hub:
        environment["SERVICE_INTEGRATION_URL"] = options.hub
    if options.api_key:
        environment["SERVICE_INTEGRATION_API_KEY"] = options.api_key
    return ChildProcess(name, service_command(name, arguments), environment)


if __name__ == "__main__":
    sys.exit(main())
