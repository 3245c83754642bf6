"""How long requests are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.db.uuid7 import uuid7_at
from model_orchestration.models import ModelFeedback, Request
from model_orchestration.services.history import drop_requests

pytestmark = pytest.mark.django_db


def test_old_requests_are_dropped_but_for_those_that_hold_money(settings: Any) -> None:
    now = timezone.now()
    rows = (("new", 29, "SETTLED"), ("old", 31, "FAILED"), ("held", 400, "ADMITTED"))
    for name, days, state in rows:
        key = uuid7_at(now - timedelta(days=days))
        Request.objects.create(
            id=key, request_id=name, request_type="CHAT", model_id="small", model_asked="small",
            provider="OPENAI", state=state,
        )  # fmt: skip
        ModelFeedback.objects.create(id=key, request_id=name, model_id="small")
    settings.MODEL_HISTORY_DAYS = 0
    assert drop_requests(now=now) == 0
    settings.MODEL_HISTORY_DAYS = 30
    assert drop_requests(now=now) == 3
    assert set(Request.objects.values_list("request_id", flat=True)) == {"new", "held"}
    assert ModelFeedback.objects.get().request_id == "new"
