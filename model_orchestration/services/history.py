"""How long requests to models are kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from core.db.retention import drop_older
from model_orchestration.content_store import drop_contents
from model_orchestration.models import (
    OPEN_STATES,
    ModelFeedback,
    QuotaWindow,
    Request,
    RequestContent,
)
from model_orchestration.periods import MINUTE_SUFFIX, ROLLING_WORD

MOST_WINDOWS = 5000


def drop_requests(*, now: datetime) -> int:
    """Drop the oldest requests beyond MODEL_HISTORY_DAYS, and what was said of answers so long ago;
    and the text of requests that was kept for as long as the policy of its project says.

    A batch of each at a time; return how many rows. What holds money in a budget stays until it is
    settled.
    """
    days = settings.MODEL_HISTORY_DAYS
    settled = Request.objects.exclude(state__in=OPEN_STATES)
    dropped = drop_older(settled, days=days, now=now)
    dropped += drop_older(RequestContent.objects, days=days, now=now)
    dropped += drop_older(ModelFeedback.objects, days=days, now=now)
    dropped += drop_contents(now=now)
    return dropped + _drop_short_windows(now)


def _drop_short_windows(now: datetime) -> int:
    """Drop what was counted in minutes and in pieces of rolling periods, once it counts no more.

    A day and the longest such period later no request holds anything of them.
    """
    rows = QuotaWindow.objects.filter(ends_at__lt=now - timedelta(days=1))
    gone = Q(series__endswith=MINUTE_SUFFIX)
    for series in rows.filter(series__contains=ROLLING_WORD).values_list("series").distinct():
        seconds = int(series[0].rpartition(":")[2])
        gone |= Q(series=series[0], ends_at__lt=now - timedelta(days=1, seconds=seconds))
    keys = rows.filter(gone).order_by("pk").values("pk")[:MOST_WINDOWS]
    return QuotaWindow.objects.filter(pk__in=keys).delete()[0]
