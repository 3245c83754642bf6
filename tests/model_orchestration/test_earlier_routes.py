"""The routes of the earlier system: each answers as it said it would, errors in their own form."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from rest_framework.test import APIClient

from model_orchestration.models import Model, ModelPerformance, RequestType
from tests import factories
from tests.support.model_providers import Provider

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.on_servers,
    pytest.mark.usefixtures("shared_client"),
]  # fmt: skip
WRAPPED = {"response", "request_id", "model_id", "provider", "latency_ms", "cost"}
MODEL = {
    "id", "model_id", "provider", "capabilities", "status", "display_name", "description",
    "max_tokens", "token_limit", "cost_per_token", "metadata", "configuration", "created_at",
    "updated_at",
}  # fmt: skip
SOUND = f"data:audio/wav;base64,{base64.b64encode(b'RIFF').decode()}"
SAID: Any = [{"role": "USER", "content": "Hi", "metadata": {}}]
COMMON = {
    "id": "r-1", "request_type": "CHAT", "model_id": "small", "provider": "custom",
    "max_tokens": 5, "temperature": 0.7, "top_p": 1.0, "frequency_penalty": 0.0,
    "presence_penalty": 0.0, "stop": ["x"], "user_id": "u", "project_id": "p", "task_id": "t",
    "task_type": "reasoning", "metadata": {},
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """A route: what is asked, what is answered, and a request that is refused."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    status: int = 200
    has: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)
    bad: tuple[Any, int] | None = None


ROUTES = (
    Route("POST", "/models", {"model_id": "new", "provider": "custom",
          "capabilities": ["image_generation"],
          "status": "active", "max_tokens": 5, "token_limit": 100, "cost_per_token": 0.001,
          "configuration": {}, "metadata": {}}, 201, MODEL, bad=({"model_id": "x"}, 400)),
    Route("GET", "/models?page=1&page_size=5&provider=CUSTOM&capability=chat&status=active&search=",
          has={"items", "total", "page", "page_size"}),
    Route("GET", "/models/small", has=MODEL),
    Route("PUT", "/models/small", {"display_name": "Small"}, has=MODEL,
          bad=({"max_tokens": -1}, 400)),
    Route("POST", "/models/chat", {**COMMON, "messages": SAID}, has=WRAPPED,
          inside={"id", "object", "created", "model", "choices", "usage"},
          bad=({**COMMON, "messages": [{"role": "KING"}]}, 400)),
    Route("POST", "/models/completion", {**COMMON, "prompt": "Hi"}, has=WRAPPED,
          inside={"id", "object", "created", "model", "choices", "usage"}, bad=(COMMON, 400)),
    Route("POST", "/models/embedding", {**COMMON, "input": "Hi"}, has=WRAPPED,
          inside={"object", "model", "data", "usage"}, bad=(COMMON, 400)),
    Route("POST", "/models/image", {**COMMON, "prompt": "a cat", "size": "1024x1024",
          "quality": "standard", "n": 1}, has=WRAPPED, inside={"created", "data"},
          bad=({**COMMON, "prompt": "a", "n": 0}, 400)),
    Route("POST", "/models/audio/transcription", {**COMMON, "file_url": SOUND, "language": "en"},
          has=WRAPPED, inside={"text"}, bad=(COMMON, 400)),
    Route("POST", "/models/audio/translation", {**COMMON, "file_url": SOUND, "prompt": "x"},
          has=WRAPPED, inside={"text"}, bad=({"model_id": "gone", "file_url": SOUND}, 404)),
    Route("POST", "/performance/feedback", {"request_id": "r", "model_id": "small",
          "success": True, "quality_rating": 0.5}, 201, {"feedback_id", "status"},
          bad=({"request_id": "r"}, 400)),
    Route("GET", "/performance/models?min_samples=1", has={"models"}),
    Route("POST", "/performance/reset", {"model_id": "small", "task_types": ["reasoning"]},
          has={"status", "message"}, bad=({}, 400)),
    Route("POST", "/performance/update-history", has={"status", "message"}),
    Route("POST", "/generate", {"prompt": "Hi", "max_tokens": 1000, "temperature": 0.7},
          has={"response", "text"}, bad=({}, 400)),
    Route("POST", "/generate", {"message": "Hi", "context": {"a": 1}}, has={"response"}),
    Route("POST", "/chat/completions", {"messages": SAID, "max_tokens": 1000},
          has={"choices", "usage"}, bad=({}, 400)),
    Route("POST", "/embeddings", {"texts": ["a"]}, has={"embeddings"}, bad=({}, 400)),
    Route("GET", "/models/small/performance", has={"model_id", "metrics", "sample_count"}),
    Route("GET", "/usage", has={"items"}),
    Route("DELETE", "/models/small", status=204),
)  # fmt: skip


async def _answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Answer an image or what was heard, which the usual stand-in does not."""
    if "images" in request.path:
        data = [{"url": "http://example.org/1.png", "revised_prompt": "a cat"}]
        return web.json_response({"created": 1, "data": data})
    return web.json_response({"text": "hello"})


@pytest.fixture
def operator(make_model: Callable[..., Model]) -> APIClient:
    make_model(capabilities=RequestType.values, cost_per_token="0.001")
    return factories.caller("OPERATOR", name="operator")


def test_every_route_answers_as_it_said(operator: APIClient, provider: Provider) -> None:
    for route in ROUTES:
        if "/image" in route.path or "/audio" in route.path:
            provider.acts.append(_answer)
        answer = _ask(operator, route, route.body)
        assert answer.status_code == route.status, (route, answer.content)
        if route.status != 204:
            told = answer.json()
            assert route.has <= told.keys(), (route, told)
            inside = told.get("response")
            assert route.inside <= (inside.keys() if isinstance(inside, dict) else set())
        if route.path.startswith("/models/chat"):
            assert told["response"]["choices"][0]["message"]["role"] == "ASSISTANT"
    assert not ModelPerformance.objects.filter(task_type="reasoning").exists()  # it was reset


def test_every_route_refuses_in_its_own_form(operator: APIClient) -> None:
    for route in ROUTES:
        if route.bad is not None:
            body, status = route.bad
            answer = _ask(operator, route, body)
            assert answer.status_code == status, (route, answer.content)
            told = answer.json()
            assert told["detail"] and told["code"], told
    stranger = APIClient(raise_request_exception=False)
    for route in ROUTES:
        if route.method != "GET":
            assert _ask(stranger, route, route.body).status_code == 401, route


def _ask(client: APIClient, route: Route, body: Any) -> Any:
    call = getattr(client, route.method.lower())
    path = f"/api{route.path}"
    return call(path) if body is None else call(path, body)
