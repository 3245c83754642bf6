"""The hub's own routes, and those that two earlier clients ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from model_orchestration.models import Model, ModelRoute, Request
from tests import factories
from tests.support.model_providers import Provider

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.on_servers,
    pytest.mark.usefixtures("shared_client"),
]  # fmt: skip
HELLO: Any = [{"role": "User", "content": "Say hello.", "metadata": {}}]


@pytest.fixture
def program() -> APIClient:
    return factories.caller("SERVICE", name="program")


def test_chat_is_wrapped_with_what_it_was(
    program: APIClient, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(cost_per_token="0.001")
    body = {"messages": HELLO, "model_id": "small", "temperature": 0.5, "stop": None,
            "project_id": "apollo", "task_id": "t1", "task_type": "creative",
            "user_id": "u1"}  # fmt: skip
    answer = program.post("/api/models/chat", body)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["response"]["choices"][0]["message"] == {"role": "ASSISTANT", "content": "Hello."}
    assert (told["model_id"], told["provider"], told["cost"]) == ("small", "CUSTOM", 0.015)
    row = Request.objects.get()
    assert told["request_id"] == row.request_id
    assert (row.project_id, row.task_id, row.task_type, row.user_id) == (
        "apollo", "t1", "creative", "u1")  # fmt: skip
    sent = provider.received[0].body
    assert sent["messages"] == [{"role": "user", "content": "Say hello."}]
    assert (sent["temperature"], sent["user"], "stop" in sent) == (0.5, "u1", False)


def test_model_may_be_left_to_the_hub(
    program: APIClient, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    assert program.post("/models/completion", {"prompt": "Say"}).json()["model_id"] == "small"
    vectors = program.post("/models/embedding", {"input": "abc", "provider": "custom"}).json()
    assert vectors["response"]["data"][0]["embedding"] == [3.0, 0.5]
    make_model("other", provider="OLLAMA")
    refused = program.post("/models/chat", {"messages": HELLO})
    assert refused.status_code == 400
    assert refused.json()["code"] == "invalid_request"
    assert "model_id" in refused.json()["errors"]
    of_ollama = program.post("/models/chat", {"messages": HELLO, "provider": "Ollama"})
    assert of_ollama.json()["model_id"] == "other"
    ModelRoute.objects.create(name="default", targets=[{"model": "other"}])
    assert program.post("/models/chat", {"messages": HELLO}).json()["model_id"] == "other"


def test_earlier_clients_are_answered(
    program: APIClient, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    asked = {"message": "Hello?", "context": {"project": 1}}
    assert program.post("/generate", asked).json()["response"] == "Hello."
    assert [each["role"] for each in provider.received[0].body["messages"]] == ["system", "user"]
    told = program.post("/api/generate", {"prompt": "Hi", "max_tokens": 1000}).json()
    assert (told["text"], told["usage"]["total_tokens"]) == ("Hello.", 15)
    chat = program.post("/api/chat/completions", {"messages": HELLO, "model_id": "small"}).json()
    assert chat["choices"][0]["message"]["role"] == "assistant"
    assert program.post("/api/embeddings", {"texts": ["abc", "d"]}).json()["embeddings"] == [
        [3.0, 0.5], [1.0, 0.5]]  # fmt: skip
    assert program.post("/generate", {}).status_code == 400
    assert program.get("/api/usage").json()["items"][0]["requests"] == 4


def test_inactive_model_is_refused_and_deprecated_one_warns(
    program: APIClient, make_model: Callable[..., Model]
) -> None:
    make_model("old", status="DEPRECATED", replacement="new")
    make_model("gone", status="INACTIVE")
    answer = program.post("/models/chat", {"messages": HELLO, "model_id": "old"})
    assert answer.headers["Warning"] == '299 - "The model old is deprecated. Use new."'
    refused = program.post("/models/chat", {"messages": HELLO, "model_id": "gone"})
    assert (refused.status_code, refused.json()["code"]) == (409, "model_inactive")


def test_odd_parts_of_a_request_are_no_fault_of_the_hub(
    program: APIClient, make_model: Callable[..., Model]
) -> None:
    make_model("claude", provider="ANTHROPIC", base_url="http://127.0.0.1:9/v1")
    whole = {"model": "claude", "max_tokens": 5, "messages": HELLO}
    for path in ("/v1/messages", "/v1/chat/completions", "/models/chat"):
        for name, odd in (("tools", [1]), ("messages", [{}]), ("metadata", "x")):
            answer = program.post(path, {**whole, name: odd})
            assert answer.status_code in (400, 503), (path, name, odd, answer.content)
