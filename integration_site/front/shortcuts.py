"""Which requests the front answers without asking Django for each."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from core.api.events import event_sources
from core.api.exchange import WebAnswer, WebRequest, WebStream
from core.api.known_keys import known_keys
from core.news import ChangeIndex, own_news
from integration_site.front.application import Shortcut, StreamingShortcut
from integration_site.front.choosing import ChosenReads
from integration_site.front.django_pool import DjangoPool
from integration_site.front.gathering import Gatherer, HandleMany
from integration_site.front.keeping import CachedReads, Reads
from integration_site.front.model_calls import PATHS as MODEL_PATHS
from integration_site.front.model_calls import ModelCalls
from integration_site.front.response_cache import ResponseCache
from integration_site.front.streaming import EventFeed, EventStreams
from integration_site.front.waiting import EndWaits, SharedWaits, Watches
from integration_site.legacy.routes import speaks_old
from registry.api import (
    gathered_changes,
    gathered_heartbeats,
    gathered_reads,
    gathered_registrations,
)
from registry.api.type_choices import PATH as TYPE_PATH
from registry.api.type_choices import read_choices
from registry.discovery.change_log import NEWS
from registry.discovery.followers import when_changed
from workflows.api.execution_responses import REQUEST_TYPES
from workflows.api.gathered_signals import answer_signals
from workflows.api.gathered_starts import answer_starts
from workflows.signalling.ends import when_ended


class ByMethod:
    """Answers requests of one path by their method."""

    def __init__(self, shortcuts: Mapping[str, Shortcut]) -> None:
        self._shortcuts = shortcuts

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        shortcut = self._shortcuts.get(request.method)
        return await shortcut.answer(request) if shortcut is not None else None


class PresentOnly:
    """Answers what is in the shapes of today; what may be in those of the earlier system is not
    for shortcuts.
    """

    def __init__(self, shortcut: StreamingShortcut) -> None:
        self._shortcut = shortcut

    async def answer(self, request: WebRequest) -> WebAnswer | WebStream | None:
        if speaks_old(request.method, request.path, request.headers):
            return None
        return await self._shortcut.answer(request)


def shortcuts_over(django: DjangoPool) -> dict[str, StreamingShortcut]:
    """Return the shortcuts by canonical path."""
    changes = ChangeIndex(own_news(), NEWS)
    cache: ResponseCache[WebAnswer] = ResponseCache(changes)
    usual = Reads(known_keys())
    reads = CachedReads(cache, django, usual)

    def gather(handle_many: HandleMany, name: str) -> Gatherer:
        gatherer = Gatherer(handle_many, name=name)
        django.close_too(gatherer.close)
        return gatherer

    together = gather(gathered_reads.answer_service_reads, "reads")
    single = CachedReads(cache, django, usual, gathered=together)
    searches = CachedReads(cache, django, Reads(known_keys(), methods=("POST",)))
    health = CachedReads(cache, django, Reads(known_keys(), unless=frozenset({"probe"})))
    starts = gather(answer_starts, "starts")
    registrations = gather(gathered_registrations.answer_registrations, "registrations")
    changed = gather(gathered_changes.answer_changes, "changes")
    heartbeats = gather(gathered_heartbeats.answer_heartbeats, "heartbeats")
    watched = SharedWaits[int](lambda index, seconds: when_changed(index, seconds=seconds))
    ends = SharedWaits[UUID](lambda pk, seconds: when_ended(pk, seconds=seconds))
    chosen = ChosenReads(changes, django, usual, read_choices)
    django.close_too(chosen.close)
    models = ModelCalls(django, usual)
    django.close_too(models.close)
    feed = EventFeed(event_sources, own_news())
    shortcuts: dict[str, StreamingShortcut] = {
        # Looked for in this order: what comes most often first.
        gathered_heartbeats.PATH: heartbeats,
        gathered_registrations.PATH: ByMethod({"GET": reads, "POST": registrations}),
        gathered_reads.PATH: ByMethod({"GET": single, "PATCH": changed}),
        "/services/{id}/instances": reads,
        "/services/{id}/health": health,
        "/discovery/services": reads,
        "/discovery/services/search": searches,
        TYPE_PATH: chosen,
        "/discovery/health/{id}": health,
        "/discovery/watch": Watches(reads, django, usual, watched),
        **dict.fromkeys(MODEL_PATHS, models),
        "/events": EventStreams(event_sources, feed, django, known_keys()),
        "/executions/{id}": EndWaits(django, usual, ends),
        "/executions/{id}/signal": gather(answer_signals, "signals"),
        "/workflows/execute": starts,
        "/workflows/{id}/execute": starts,
        **{f"/workflows/{name}": starts for name in REQUEST_TYPES},
    }
    if not settings.LEGACY_API:
        return shortcuts
    return {path: PresentOnly(shortcut) for path, shortcut in shortcuts.items()}
