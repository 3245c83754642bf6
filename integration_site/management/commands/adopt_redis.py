"""Takes the registry of the earlier system over from Redis, once or for as long as both run."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import asdict
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integration_site.legacy.redis_entries import PREFIX
from integration_site.legacy.redis_registry import RedisRegistry, RegistrySync, Taken


class Command(BaseCommand):
    help = (
        "Register the services that the earlier system keeps in Redis. It may be run again at any"
        " time. With --follow it goes on until it is ended; with --both the hub's own services are"
        " written there too, so that the earlier system finds them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="url", default=settings.REDIS_URL, help="redis://...")
        parser.add_argument("--prefix", default=PREFIX, help="What the keys begin with.")
        parser.add_argument(
            "--owner",
            default="anonymous" if settings.ANONYMOUS_API_ROLE else "",
            help="The API key that the services will call with: it may change them then.",
        )
        parser.add_argument("--follow", action="store_true", help="Go on until it is ended.")
        parser.add_argument("--both", action="store_true", help="Write the hub's services too.")
        parser.add_argument("--every", type=float, default=5.0, help="Seconds between looks.")
        parser.add_argument("--json", action="store_true", help="Tell of each look as JSON.")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        if not url:
            raise CommandError("Say where the earlier registry is: --from redis://host:6379/0")
        if not 1 <= options["every"] <= 20:
            raise CommandError("--every must be from 1 to 20: entries live for 60 seconds.")
        try:
            store = RedisRegistry(url, prefix=options["prefix"])
        except ValueError as error:
            raise CommandError(f"--from: {error}") from None
        sync = RegistrySync(store, owner=options["owner"])
        try:
            self._run(sync, **options)
        finally:
            store.close()

    def _run(self, sync: RegistrySync, *, follow: bool, both: bool, **options: Any) -> None:
        ended = threading.Event()
        if follow:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: ended.set())
        is_first = True
        while not ended.is_set():
            try:
                self._tell(sync.look(both_ways=both), as_json=options["json"], whole=is_first)
            except redis.RedisError as error:
                if is_first:
                    raise CommandError(f"Redis does not answer: {error}") from None
                self.stderr.write(f"Redis does not answer, and nobody is given up for it: {error}")
            if not follow:
                return
            is_first = False
            ended.wait(options["every"])

    def _tell(self, taken: Taken, *, as_json: bool, whole: bool) -> None:
        """Say what came of a look; after the first only where something changed."""
        if not (whole or taken.registered or taken.removed):
            return
        if as_json:
            self.stdout.write(json.dumps(asdict(taken)))
            return
        self.stdout.write(
            f"{len(taken.registered)} registered, {len(taken.renewed)} renewed,"
            f" {len(taken.mended)} mended, {len(taken.left)} left, {taken.written} written,"
            f" {taken.removed} removed"
        )
        for key, sentences in taken.mended.items():
            self.stdout.write(f"  mended {key}: {'; '.join(sentences)}")
        for key, reason in taken.left.items():
            self.stdout.write(f"  left {key}: {reason}")
