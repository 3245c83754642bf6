"""How long requests to models are kept."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from core.db.retention import drop_older
from model_orchestration.content_store import drop_contents
from model_orchestration.models import OPEN_STATES, ModelFeedback, Request, RequestContent


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
    return dropped + drop_contents(now=now)
