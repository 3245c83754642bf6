"""How well models do tasks: counted from answers and feedback, and correct."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from model_orchestration.models import (
    Model,
    ModelFeedback,
    ModelPerformance,
    ModelPerformanceHistory,
    ModelRoute,
    Request,
)
from model_orchestration.samples import Sample, add_samples, period_of
from tests import factories
from tests.support.connections import make_connection
from tests.support.model_providers import Provider, answering, refusing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("DAY", "2026-03-01", "2026-03-02"),
        ("WEEK", "2026-02-23", "2026-03-02"),
        ("MONTH", "2026-03-01", "2026-04-01"),
    ],
)
def test_periods_begin_on_midnight_monday_and_the_first(period: str, begin: str, end: str) -> None:
    assert [f"{each:%Y-%m-%d}" for each in period_of(period, NOON)] == [begin, end]


@pytest.mark.django_db
def test_sums_are_exact_and_history_holds_only_what_was_in_its_time() -> None:
    monday = NOON.replace(day=2)
    add_samples([Sample("a", "code", NOON, True, confidence=0.9), Sample("b", "code", NOON, True)])
    add_samples([Sample("a", "code", monday, False), Sample("a", "code", monday, True, 2, 0.8)])
    row = ModelPerformance.objects.get(model_id="a")
    assert (row.sample_count, row.success_rate, row.quality_score) == (4, 0.75, 0.8)
    assert (row.quality_count, row.confidence) == (2, 0.9)
    unrated = ModelPerformance.objects.get(model_id="b")
    assert (unrated.quality_score, unrated.success_rate) == (0.5, 1.0)
    rows = ModelPerformanceHistory.objects.filter(model_id="a").order_by("period_start")
    counts = [(r.period_type, r.period_start.day, r.sample_count) for r in rows]
    assert sorted(counts) == [
        ("DAY", 1, 1), ("DAY", 2, 3), ("MONTH", 1, 4), ("WEEK", 2, 3), ("WEEK", 23, 1),
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
@pytest.mark.usefixtures("shared_client")
def test_answers_count_for_their_models_and_failures_too(
    make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model("first")
    make_model("second")
    ModelRoute.objects.create(name="both", targets=[{"model": "first"}, {"model": "second"}])
    program = factories.caller("SERVICE", name="program")
    body = {"messages": HELLO, "model_id": "both", "task_type": "Code"}
    provider.next(refusing(500, {"message": "x"}), refusing(500, {"message": "x"}), answering())
    assert program.post("/api/models/chat", body).status_code == 200
    provider.next(refusing(400, {"message": "your fault"}))
    assert program.post("/api/models/chat", {**body, "model_id": "second"}).status_code == 400
    counted = {r.model_id: (r.task_type, r.sample_count, r.success_rate, r.confidence)
               for r in ModelPerformance.objects.all()}  # fmt: skip
    assert counted == {"first": ("code", 1, 0.0, None), "second": ("code", 1, 1.0, 0.9)}


# --- Feedback, and what is told ---


@pytest.fixture
def operator() -> APIClient:
    return factories.caller("OPERATOR", name="operator")


@pytest.fixture
def models() -> None:
    connection = make_connection()
    for name in ("small", "large", "old"):
        Model.objects.create(name=name, capabilities=["CHAT"], connection=connection)
    Model.objects.filter(name="old").update(status="INACTIVE")


def _answered(model: str = "small", **fields: Any) -> Request:
    return Request.objects.create(
        request_id="req-1", request_type="CHAT", model_id=model, model_asked="assistant",
        provider="OPENAI", state="SETTLED", task_type="Code", **fields
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.usefixtures("models")
def test_feedback_weighs_two_samples_and_takes_the_task_of_its_request(operator: APIClient) -> None:
    row = _answered()
    add_samples([Sample("small", "code", NOON, True)])
    answer = operator.post("/api/performance/feedback", {
        "request_id": row.request_id, "model_id": "Assistant", "success": False,
        "quality_rating": 0.25, "feedback": "Wrong.", "anything": 1,
        "corrections": {"original": "a", "corrected": "b"}, "metadata": {"user_id": "ada"},
    })  # fmt: skip
    assert (answer.status_code, answer.json()["status"]) == (201, "accepted")
    said = ModelFeedback.objects.get()
    assert answer.json()["feedback_id"] == str(said.pk)
    assert (said.model_id, said.task_type, said.user_id) == ("small", "code", "ada")
    assert (said.has_corrections, said.caller) == (True, "operator")
    told = operator.get("/api/performance/models?min_samples=3&model_id=SMALL").json()["models"]
    task = {"quality_score": 0.25, "success_rate": 0.3333, "sample_count": 3, "rated_count": 2,
            "confidence": None}  # fmt: skip
    assert told == [{
        "model_id": "small", "sample_count": 3,
        "metrics": {"overall_quality": 0.25, "success_rate": 0.3333,
                    "task_specific": {"code": task}}}]  # fmt: skip
    assert operator.get("/api/performance/models?min_samples=4").json() == {"models": []}
    assert operator.get("/models/small/performance").json() == told[0]
    listed = operator.get("/api/performance/feedback?model=small").json()["items"]
    assert listed[0]["feedback_text"] == "Wrong."
    one = operator.get(f"/api/performance/feedback/{said.pk}").json()
    assert one["quality_rating"] == 0.25


@pytest.mark.django_db
@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 400, "Missing required fields: request_id, model_id, success"),
        ({"request_id": "x", "model_id": "small", "success": True, "quality_rating": 2}, 400,
         "quality_rating"),
        ({"request_id": "x", "model_id": "smal", "success": True}, 404, "small"),
        ({"request_id": "req-1", "model_id": "large", "success": True}, 400, "'small'"),
    ],
)  # fmt: skip
def test_feedback_is_refused_with_what_would_be_right(
    operator: APIClient, body: Any, status: int, told: str
) -> None:
    _answered()
    answer = operator.post("/api/performance/feedback", body)
    assert (answer.status_code, told in answer.content.decode()) == (status, True), answer.content
    assert not ModelFeedback.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("models")
def test_best_model_is_the_one_with_most_quality_then_success(operator: APIClient) -> None:
    add_samples([
        Sample("small", "code", NOON, True, 10, 0.7), Sample("large", "code", NOON, True, 10, 0.9),
        Sample("old", "code", NOON, True, 10, 1.0), Sample("gone", "code", NOON, True, 10, 1.0),
    ])  # fmt: skip

    def best(**query: Any) -> Any:
        return operator.get("/performance/best", {"task_type": "code", **query})

    assert best().json()["model_id"] == "large"
    assert best(model_ids="small, other").json()["quality_score"] == 0.7
    assert best(min_quality_score="0.95").status_code == 404
    assert best(min_quality_score="2").status_code == 400
    assert operator.get("/performance/best").status_code == 400
    history = operator.get("/performance/history?period=week&model=large").json()["items"]
    assert [(row["sample_count"], row["quality_score"]) for row in history] == [(10, 0.9)]
    gone = operator.post("/performance/reset", {"model_id": "large", "task_types": ["Code"]})
    assert gone.json()["message"] == "Performance metrics reset"
    assert best().json()["model_id"] == "small"
    assert ModelPerformanceHistory.objects.filter(model_id="large").exists()
    assert operator.post("/performance/reset", {}).status_code == 400
    assert operator.post("/performance/update-history").json()["status"] == "success"
