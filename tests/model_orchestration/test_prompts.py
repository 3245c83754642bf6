"""The prompt library: templates with declared variables, whose versions never change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from model_orchestration.models import Model, Prompt
from model_orchestration.prompting import PromptRefused, check_template, fill_in
from model_orchestration.services.prompts import create_prompt, update_prompt
from tests.support.model_providers import Provider

SUM_UP = [
    {"role": "system", "content": "You are short."},
    {"role": "user", "content": "Sum up in {{ count }} words: {{text}}"},
]
VARIABLES: list[dict[str, Any]] = [{"name": "text"}, {"name": "count", "default": 50}]


@pytest.mark.once
def test_values_take_the_places_of_variables_and_are_not_templates() -> None:
    filled = fill_in(SUM_UP, VARIABLES, {"text": "{{count}} \\1 {{text}}"})
    assert filled[0] == SUM_UP[0]
    assert filled[1]["content"] == "Sum up in 50 words: {{count}} \\1 {{text}}"
    assert fill_in(SUM_UP, VARIABLES, {"text": ["ä", 1], "count": 3})[1]["content"] == (
        'Sum up in 3 words: ["ä", 1]')  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({}, "variables.text", "no default"),
        ({"text": None}, "variables.text", "no default"),
        ({"text": "a", "cuont": 1}, "variables", "'cuont' is no variable of it, did you mean"),
        (["a"], "variables", "Must be an object"),
    ],
)
def test_missing_and_unknown_values_are_refused(values: Any, field: str, sentence: str) -> None:
    with pytest.raises(PromptRefused) as refused:
        fill_in(SUM_UP, VARIABLES, values)
    assert refused.value.field == field and sentence.split(",")[0] in str(refused.value)


@pytest.mark.once
@pytest.mark.parametrize(
    ("messages", "variables", "field"),
    [
        ([], [], "messages"),
        ([{"role": "user"}], [], "messages[0]"),
        ([{"role": "tool", "content": "a"}], [], "messages[0].role"),
        ([{"role": "user", "content": ""}], [], "messages[0].content"),
        ([{"role": "user", "content": "{{a}}"}], [], "variables"),
        ([{"role": "user", "content": "a"}], [{"name": "a"}], "variables[0].name"),
        ([{"role": "user", "content": "{{a}}"}], [{"name": "a"}, {"name": "a"}],
         "variables[1].name"),
        ([{"role": "user", "content": "a"}], [{"name": "a b"}], "variables[0].name"),
        ([{"role": "user", "content": "a"}], [{"title": "a"}], "variables[0]"),
        ([{"role": "user", "content": "a"}], {}, "variables"),
    ],
)  # fmt: skip
def test_template_that_cannot_be_filled_in_is_refused(
    messages: Any, variables: Any, field: str
) -> None:
    with pytest.raises(PromptRefused) as refused:
        check_template(messages, variables)
    assert refused.value.field == field


@pytest.mark.django_db
def test_each_change_of_the_words_is_a_version(api: Any, keys_stay_known: None) -> None:
    made = api.post(
        "/api/models/prompts", {"name": "summary", "messages": SUM_UP, "variables": VARIABLES}
    )
    assert made.status_code == 201 and made.json()["version"] == 1
    renamed = api.patch("/api/models/prompts/summary", {"description": "Other."})
    assert renamed.json()["version"] == 1
    words = [{"role": "user", "content": "Shorten: {{text}}"}]
    unused = api.patch("/api/models/prompts/summary", {"messages": words})
    assert unused.status_code == 400 and "No message uses 'count'" in unused.content.decode()
    body = {"messages": words, "variables": [{"name": "text"}]}
    changed = api.patch("/api/models/prompts/summary", body)
    assert changed.json()["version"] == 2
    versions = api.get("/api/models/prompts/summary/versions").json()["items"]
    assert [(each["number"], each["messages"]) for each in versions] == [(2, words), (1, SUM_UP)]
    path = "/api/models/prompts/summary/render"
    first = api.post(path, {"version": 1, "variables": {"text": "a"}}).json()
    assert first["messages"][1]["content"] == "Sum up in 50 words: a"
    assert api.post(path, {"variables": {"text": "a"}}).json()["version"] == 2
    refused = api.post(path, {"version": 3, "variables": {"text": "a"}})
    assert refused.status_code == 400 and "1 to 2" in refused.json()["errors"]["version"][0]
    missing = api.post(path, {})
    assert missing.status_code == 400 and "variables.text" in missing.json()["errors"]
    assert api.delete("/api/models/prompts/summary").status_code in (200, 204)
    assert not Prompt.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_chats_name_a_prompt(
    hub: str, key: str, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    row = create_prompt({"name": "summary", "messages": SUM_UP, "variables": VARIABLES})
    update_prompt(row, {"messages": SUM_UP[1:]})
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:

        def ask(prompt: Any, messages: Any = (), **more: Any) -> Any:
            return client.chat.completions.create(
                model="small", messages=list(messages), extra_body={"prompt": prompt}, **more
            )

        ask({"name": "Summary", "variables": {"text": "a"}}, [{"role": "user", "content": "b"}])
        list(ask({"name": "summary", "version": 1, "variables": {"text": "a"}}, stream=True))
        for prompt, about in (
            ({"name": "sumary", "variables": {}}, "prompt.name"),
            ({"name": "summary"}, "prompt.variables.text"),
            ({"name": "summary", "version": 9, "variables": {"text": "a"}}, "prompt.version"),
            ({"id": 1}, "prompt.id"),
            ("summary", "prompt"),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                ask(prompt)
            assert refused.value.body["param"] == about  # type: ignore[index]
    sent = [each.body["messages"] for each in provider.received]
    assert [[each["content"] for each in messages] for messages in sent] == [
        ["Sum up in 50 words: a", "b"], ["You are short.", "Sum up in 50 words: a"]]  # fmt: skip
    assert all("prompt" not in each.body for each in provider.received)
