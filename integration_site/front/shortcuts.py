"""Which requests the front answers without asking Django for each."""

from __future__ import annotations

from functools import partial

from core.api.known_keys import known_keys
from core.news import ChangeIndex, own_news
from integration_site.front.application import Shortcut
from integration_site.front.django_pool import DjangoPool
from integration_site.front.gathering import Gatherer
from integration_site.front.keeping import CachedReads
from integration_site.front.response_cache import ResponseCache
from registry.discovery.change_log import NEWS
from workflows.api.execution_responses import REQUEST_TYPES
from workflows.api.gathered_starts import answer_starts


def shortcuts_over(django: DjangoPool) -> dict[str, Shortcut]:
    """Return the shortcuts by canonical path."""
    cache = ResponseCache(ChangeIndex(own_news(), NEWS))
    reads = partial(CachedReads, cache, known_keys(), django)
    starts = Gatherer(answer_starts, name="starts")
    health = reads(unless=frozenset({"probe"}))
    return {
        "/services": reads(),
        "/services/{id}": reads(),
        "/services/{id}/instances": reads(),
        "/services/{id}/health": health,
        "/discovery/services": reads(),
        "/discovery/services/search": reads(methods=("POST",)),
        "/discovery/health/{id}": health,
        "/workflows/execute": starts,
        "/workflows/{id}/execute": starts,
        **{f"/workflows/{name}": starts for name in REQUEST_TYPES},
    }
