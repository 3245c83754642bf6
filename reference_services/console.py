"""Lines for the person who started the program."""

from __future__ import annotations

import argparse
import logging
import os
import sys


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def add_hub_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the hub is, what it is called with, and how much is logged."""
    parser.add_argument(
        "--hub",
        default=os.environ.get("SERVICE_INTEGRATION_URL"),
        help="such as http://localhost:8090/api; default: SERVICE_INTEGRATION_URL",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("SERVICE_INTEGRATION_API_KEY"),
        help="default: SERVICE_INTEGRATION_API_KEY",
    )
    parser.add_argument("--log-level", default="WARNING", type=str.upper)


def log_to_stderr(level: str = "WARNING") -> None:
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
