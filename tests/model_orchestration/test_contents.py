"""What is kept of what is said to models: as the policy of the project has it, and nowhere else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openai
import pytest
from django.apps import apps
from django.utils import timezone

from model_orchestration.adapters.base import AudioFile, ModelCall
from model_orchestration.content_store import SaidText, drop_contents, keep_contents, read_content
from model_orchestration.contents import (
    MOST_CHARACTERS,
    ContentRules,
    StreamedText,
    describe,
    kept_text,
)
from model_orchestration.models import (
    ContentPolicy,
    Model,
    Request,
    RequestContent,
    RequestType,
)
from model_orchestration.redaction import Redactor, refusal_of
from tests import factories
from tests.support.model_providers import (
    Provider,
    answering,
    chunk,
    last_chunk,
    refusing,
    streaming,
)
from tests.support.waiting import until

CANARY = "sk-canary0123456789"
CARD, MAIL = "4111 1111 1111 1111", "ada@example.org"
SAID = f"My key is {CANARY}, my card {CARD}, write to {MAIL}."


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mail ada@example.org, or bob@example.org, or ada@example.org",
         "mail [EMAIL_1], or [EMAIL_2], or [EMAIL_1]"),
        ("card 4111-1111-1111-1111, 4111-1111-1111-1112", "card [CARD_1], 4111-1111-1111-1112"),
        ("DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432, not GB83 WEST 1234 5698 7654 32",
         "[IBAN_1] and [IBAN_2], not GB83 WEST 1234 5698 7654 32"),
        ("call +49 (30) 901820 or 0049 30 901821", "call [PHONE_1] or [PHONE_2]"),
        ("Authorization: Bearer abcdef123456==", "Authorization: Bearer [KEY_1]"),
        ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl and si_0123456789ab_xyz", "[JWT_1] and [KEY_1]"),
        ("postgres://me:hidden@db/x", "postgres://[KEY_1]@db/x"),
        ('{"password": "hunter22"}', '{"[SECRET_1]"}'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc=\n-----END RSA PRIVATE KEY-----.",
         "[PRIVATE_KEY_1]."),
        ("It took 1234567890123 ns, in 2026-11-30 18:00, version 1.2.3.", None),
    ],
)  # fmt: skip
def test_what_identifies_or_opens_is_taken_out_of_text(text: str, told: str | None) -> None:
    assert Redactor().text(text) == (told or text)


@pytest.mark.once
def test_numbers_keys_and_own_patterns_are_looked_at_too() -> None:
    redactor = Redactor([("CUSTOMER", "KD-[0-9]{6}")])
    value = {"card": 4111111111111111, MAIL: ["KD-123456", 7, True, None]}
    assert redactor.value(value) == {
        "card": "[CARD_1]", "[EMAIL_1]": ["[CUSTOMER_1]", 7, True, None]}  # fmt: skip
    assert redactor.redactions == 3


@pytest.mark.each_python
@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "pattern", "about"),
    [
        ("customer", "a", "name: Use a word in capital"),
        ("A", "", "pattern: Give a regular expression"),
        ("A", "[", "pattern: It is no regular expression"),
        ("A", "a*", "pattern: Bound its repetitions"),
        ("A", "(ab|cd){1,9}", "pattern: Repeat nothing"),
        ("A", "(a{1,9}){1,9}", "pattern: Repeat nothing"),
        ("A", r"\w{1,20}\w{1,20}", "pattern: It can fit in 400 ways"),
        ("A", "a{0,3}", "pattern: It fits where nothing is"),
        ("A", "(a)\\1", "pattern: Use characters"),
        ("CUSTOMER", r"\bKD-[0-9]{4,8}(?:-[A-Z])?\b", ""),
        ("A", "(red|green)-[0-9]{3}", ""),
    ],
)
def test_own_pattern_that_may_run_away_is_refused(kind: str, pattern: str, about: str) -> None:
    told = refusal_of(kind, pattern)
    assert told.startswith(about) if about else told == ""


@pytest.mark.once
def test_text_beyond_what_is_kept_and_files_are_left_out() -> None:
    long = "word " * MOST_CHARACTERS
    call = ModelCall(
        RequestType.CHAT,
        {"messages": [{"content": long}, {"content": "after"}],
         "image": "data:image/png;base64," + "A" * 300, "stop": []},
        file=AudioFile("a.wav", "audio/wav", b"12345"),
    )  # fmt: skip
    kept = kept_text(ContentRules("FULL"), call, {"data": [{"b64_json": "A" * 999}]})
    first, second = kept.question["messages"]
    assert len(first["content"]) < MOST_CHARACTERS + 40
    assert second["content"].endswith("(5 characters more)")
    assert kept.question["image"] == "data:image/png;base64 (322 characters)"
    assert kept.question["file"] == "(5 bytes)"
    assert kept.answer == {"data": [{"b64_json": "(999 characters)"}]}


@pytest.mark.once
def test_description_has_no_word_of_what_was_said() -> None:
    call = ModelCall(RequestType.CHAT, {"messages": [{"content": SAID}], "temperature": 0.5,
                                        "user": MAIL, "stop": ["ada"], "stream": True})  # fmt: skip
    told = describe(call)
    assert told["parameters"] == {"temperature": 0.5, "stream": True}
    assert told["messages"] == 1 and told["bytes"] > len(SAID)
    assert not any(word in json.dumps(told) for word in (CANARY, MAIL, "ada"))
    assert told["digest"] == describe(call)["digest"]


@pytest.mark.once
def test_pieces_of_a_stream_become_the_answer() -> None:
    text = StreamedText()
    for delta in (
        {"role": "assistant", "content": "He"}, {"content": "llo"}, {"content": None}, 7,
        {"tool_calls": [{"function": {"name": "find", "arguments": "{"}}]},
        {"tool_calls": [{"function": {"arguments": "}"}}, "no"]},
    ):  # fmt: skip
        text.add({"choices": [{"index": 0, "delta": delta}]})
    text.add({"choices": [{"index": 1, "text": "other", "finish_reason": "stop"}, None]})
    text.add({"choices": None})
    assert text.answer["choices"] == [
        {"message": {"role": "assistant", "content": "Hello",
                     "tool_calls": [{"name": "find", "arguments": "{}"}]}},
        {"text": "other", "finish_reason": "stop"},
    ]  # fmt: skip


@pytest.fixture
def client(hub: str, key: str) -> Any:
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, project: str, **more: Any) -> Any:
    return client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": SAID}],
        extra_headers={"X-Project-ID": project}, **more,
    )  # fmt: skip


def stored() -> str:
    """All that any table has, as text."""
    rows = [list(model._default_manager.values()) for model in apps.get_models()]
    return json.dumps(rows, default=str)


def kept(project: str) -> dict[str, Any]:
    row = Request.objects.get(project_id=project)
    until(lambda: RequestContent.objects.filter(pk=row.pk).exists())
    return read_content(row.pk, now=timezone.now())


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_each_project_keeps_what_its_policy_says(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider, caplog: Any
) -> None:
    make_model()
    for name, keeps in (("none", "NONE"), ("red", "REDACTED"), ("all", "FULL")):
        ContentPolicy.objects.create(name=name, keeps=keeps)
    with caplog.at_level(logging.DEBUG):
        for project in ("none", "other", "RED", "all"):
            provider.next(answering(f"Sent to {MAIL}."))
            ask(client, project)
    red, full = kept("RED"), kept("all")
    assert [each["content"] for each in red["request"]["messages"]] == [
        "My key is [KEY_1], my card [CARD_1], write to [EMAIL_1]."
    ]
    assert red["answer"]["choices"][0]["message"]["content"] == "Sent to [EMAIL_1]."
    assert (red["keeps"], red["redactions"]) == ("REDACTED", 4)
    assert full["request"]["messages"][0]["content"] == SAID
    assert full["answer"]["choices"][0]["message"]["content"] == f"Sent to {MAIL}."
    assert RequestContent.objects.count() == 2
    assert Request.objects.get(project_id="none").request_data == {}
    assert Request.objects.get(project_id="other").request_data["messages"] == 1
    # Sealed in its table, and nowhere else.
    everything = stored() + caplog.text
    assert not any(word in everything for word in (CANARY, CARD, MAIL))


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_stream_and_failure_are_kept_too(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    ContentPolicy.objects.create(name="default", keeps="REDACTED")
    provider.next(streaming([chunk("Write "), chunk(f"to {MAIL}"), *last_chunk()]))
    list(ask(client, "streamed", stream=True))
    assert kept("streamed")["answer"]["choices"][0]["message"]["content"] == "Write to [EMAIL_1]"
    provider.next(refusing(400, {"message": f"I do not know {CANARY}"}))
    with pytest.raises(openai.BadRequestError, match=CANARY):  # its caller may know it
        ask(client, "failed")
    told = kept("failed")
    assert told["request"]["messages"] and told["answer"] is None
    assert Request.objects.get(project_id="failed").error_message.endswith("know [KEY_1]")


@pytest.mark.django_db
def test_content_is_for_auditors_and_goes_when_it_is_due(keys_stay_known: None) -> None:
    row = Request.objects.create(
        request_id="one", request_type="CHAT", model_id="small", model_asked="small",
        provider="OPENAI",
    )  # fmt: skip
    auditor, viewer = factories.caller("AUDITOR"), factories.caller("VIEWER")
    path = f"/api/models/requests/{row.pk}/content"
    assert viewer.get(path).status_code == 403
    assert auditor.get(path).status_code == 404
    call = ModelCall(RequestType.CHAT, {"messages": [{"role": "user", "content": SAID}]})
    keep_contents([SaidText(row.pk, ContentRules("FULL", 2), call, None, 1)])
    answer = auditor.get(path).json()
    assert answer["request"]["messages"][0]["content"] == SAID and answer["answer"] is None
    later = timezone.now() + timedelta(days=3)
    assert drop_contents(now=timezone.now()) == 0
    assert drop_contents(now=later) == 1
    assert auditor.get(path).status_code == 404


@pytest.mark.django_db
def test_what_an_earlier_system_kept_is_for_auditors_too() -> None:
    texts = {"messages": [{"role": "user", "content": SAID}], "digest": "of something else"}
    row = Request.objects.create(
        request_id="earlier", request_type="CHAT", model_id="small", model_asked="small",
        provider="OPENAI", request_data=texts, response_data={"text": SAID},
    )  # fmt: skip
    auditor, viewer = factories.caller("AUDITOR"), factories.caller("VIEWER")
    path = f"/api/models/requests/{row.pk}"
    assert viewer.get(path).json()["request_data"] == {}
    assert SAID not in viewer.get("/api/models/requests").content.decode()
    assert viewer.get(f"{path}/content").status_code == 403
    kept = auditor.get(f"{path}/content").json()
    assert (kept["request"], kept["answer"]) == (texts, {"text": SAID})


@pytest.mark.django_db
def test_policy_is_set_over_the_api(api: Any, keys_stay_known: None) -> None:
    body = {"name": "apollo", "keeps": "redacted",
            "patterns": [{"name": "CUSTOMER", "pattern": "KD-[0-9]{6}"}]}  # fmt: skip
    made = api.post("/api/models/content-policies", body)
    assert made.status_code == 201, made.content
    assert (made.json()["keeps"], made.json()["retention_days"]) == ("REDACTED", 7)
    bad = api.post("/api/models/content-policies",
                   {"name": "b", "patterns": [{"name": "A", "pattern": "a*"}]})  # fmt: skip
    assert bad.status_code == 400 and "Bound its repetitions" in bad.content.decode()
    for field, value in (("retention_days", 0), ("keeps", "SOME")):
        refused = api.patch("/api/models/content-policies/apollo", {field: value})
        assert refused.status_code == 400 and field in refused.json()["errors"]
