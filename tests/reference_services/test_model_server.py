"""The model server as the providers' own clients see it."""

import base64
import json
import math

import aiohttp
import anthropic
import httpx2
import openai
import pytest

from reference_services.model_server import faults, morse
from reference_services.model_server.errors import TROUBLES
from tests.support.model_servers import running_model_server
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.once

QUESTION = [{"role": "user", "content": "Is the search of the portal fast?"}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def shared():
    with running_model_server() as server:
        yield server


@pytest.fixture
def server(shared):
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def clients(shared):
    """One of each for all tests: to make one takes longer than a test."""
    options = {"api_key": shared.key, "max_retries": 0}
    with (
        openai.OpenAI(base_url=shared.openai_url, **options) as gpt,
        anthropic.Anthropic(base_url=shared.anthropic_url, **options) as claude,
    ):
        yield gpt, claude


@pytest.fixture
def gpt(server, clients):
    return clients[0]


@pytest.fixture
def claude(server, clients):
    return clients[1]


# What is asked comes through however slow the machine is; the answer is not waited for.
SHORT = httpx2.Timeout(PATIENCE, read=0.05)


def ask(gpt, model="tiny-1", messages=QUESTION, **options):
    return gpt.chat.completions.create(model=model, messages=messages, **options)


def streamed(gpt, **options):
    return list(ask(gpt, stream=True, **options))


def product(first, second):
    return sum(a * b for a, b in zip(first, second, strict=True))


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_chat_whole_and_streamed_tell_the_same(gpt):
    whole = ask(gpt)
    chunks = streamed(gpt, stream_options={"include_usage": True})

    assert whole.choices[0].finish_reason == "stop"
    assert whole.choices[0].message.content == text_of(chunks) != ""
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert len({c.id for c in chunks}) == 1


def test_usage_of_a_stream_is_told_only_if_asked_for(gpt):
    chunks = streamed(gpt)
    assert {c.usage for c in chunks} == {None}
    assert all(c.choices for c in chunks)


def test_answers_are_repeatable_and_seeds_vary_them(gpt):
    first, again = ask(gpt, seed=1), ask(gpt, seed=1)
    others = {(ask(gpt, seed=n)).choices[0].message.content for n in range(2, 8)}
    coldest = {(ask(gpt, seed=n, temperature=0)).choices[0].message.content for n in range(3)}

    assert first.choices[0].message == again.choices[0].message
    assert len(others | {first.choices[0].message.content}) > 3
    assert len(coldest) == 1


def test_limits_and_stops_are_kept(gpt):
    short = ask(gpt, max_tokens=4)
    whole = (ask(gpt)).choices[0].message.content
    word = whole.split()[3]
    stopped = ask(gpt, stop=[word])
    several = ask(gpt, n=3)

    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 4
    assert stopped.choices[0].message.content == whole[: whole.index(word)]
    assert [choice.index for choice in several.choices] == [0, 1, 2]


def test_thinking_is_counted_and_not_shown(gpt):
    answer = ask(gpt, model="tiny-1-thinking", reasoning_effort="low", max_tokens=20)
    assert answer.usage.completion_tokens_details.reasoning_tokens == 16
    assert answer.usage.completion_tokens == 20
    assert answer.choices[0].finish_reason == "length"


def test_repeated_long_prompts_are_read_from_the_cache(gpt, claude):
    long = [{"role": "user", "content": "a b " * 700}]
    first, again = [ask(gpt, "tiny-1-large", long, max_tokens=5) for _ in range(2)]
    message = claude.messages.create(model="tiny-1-large", messages=long, max_tokens=5)

    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert again.usage.prompt_tokens_details.cached_tokens == 1280
    assert message.usage.cache_read_input_tokens == 1280
    assert message.usage.input_tokens == first.usage.prompt_tokens - 1280


def test_json_fits_the_schema_and_objects_are_objects(gpt):
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 12},
            "mood": {"enum": ["good", "bad"]},
            "points": {"type": "array", "items": {"$ref": "#/$defs/point"}, "minItems": 2},
            "note": {"type": ["string", "null"]},
        },
        "$defs": {"point": {"type": "integer", "minimum": 3, "maximum": 9}},
    }
    wrapped = {"name": "report", "schema": schema, "strict": True}
    answer = ask(gpt, response_format={"type": "json_schema", "json_schema": wrapped})
    free = ask(gpt, response_format={"type": "json_object"})

    report = json.loads(answer.choices[0].message.content)
    assert set(report) == {"title", "mood", "points", "note"}
    assert len(report["title"]) <= 12
    assert report["mood"] == "good"
    assert len(report["points"]) == 2
    assert all(3 <= point <= 9 for point in report["points"])
    assert isinstance(json.loads(free.choices[0].message.content), dict)


def test_tool_is_called_and_its_result_read(gpt):
    function = {k: WEATHER[k] for k in ("name", "description")} | {"parameters": WEATHER["schema"]}
    tools = [{"type": "function", "function": function}]
    messages = [{"role": "user", "content": "How is the weather in Porto Santo?"}]
    called = ask(gpt, messages=messages, tools=tools)
    call = called.choices[0].message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    told = ask(gpt, messages=[*messages, called.choices[0].message, result], tools=tools)
    chunks = streamed(gpt, messages=messages, tools=tools)
    unrelated = ask(gpt, tools=tools)
    forced = ask(gpt, tools=tools, tool_choice="required")

    assert called.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments) == {"city": "Porto Santo"}
    assert told.choices[0].message.content.startswith("The answer is: 18 degrees.")
    parts = [c.choices[0].delta.tool_calls[0] for c in chunks if c.choices[0].delta.tool_calls]
    assert parts[0].function.name == "get_weather"
    assert "".join(p.function.arguments for p in parts) == call.function.arguments
    assert unrelated.choices[0].message.tool_calls is None
    assert forced.choices[0].finish_reason == "tool_calls"


def test_completions_whole_and_streamed(gpt):
    whole = gpt.completions.create(model="tiny-1", prompt="The export", echo=True)
    chunks = list(
        gpt.completions.create(
            model="tiny-1", prompt="The export", stream=True, stream_options={"include_usage": True}
        )
    )

    text = "".join(c.choices[0].text for c in chunks if c.choices)
    assert whole.choices[0].text == f"The export{text}"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens <= 16


def test_embeddings_of_alike_texts_are_near(gpt):
    texts = ["the search is fast", "a fast search", "an invoice in Polish"]
    answer = gpt.embeddings.create(model="tiny-embed", input=texts)
    plain = gpt.embeddings.create(
        model="tiny-embed", input=texts[0], encoding_format="float", dimensions=32
    )

    first, alike, other = (row.embedding for row in answer.data)
    assert math.isclose(math.hypot(*first), 1, rel_tol=1e-5)
    assert product(first, alike) > 0.5 > abs(product(first, other))
    assert len(plain.data[0].embedding) == 32
    assert answer.usage.prompt_tokens == 11


def test_pictures_are_png_of_the_size(gpt):
    drawn = gpt.images.generate(model="tiny-image", prompt="a house", size="64x48")
    linked = gpt.images.generate(
        model="tiny-image", prompt="a house", size="64x48", response_format="url"
    )

    data = base64.b64decode(drawn.data[0].b64_json)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (64, 48)
    assert httpx2.get(linked.data[0].url).content == data


def test_audio_is_transcribed_and_translated(gpt):
    file = ("call.wav", morse.render("CQ de OE1ABC wx fine"))
    heard = gpt.audio.transcriptions.create(model="tiny-morse", file=file)
    english = gpt.post(
        "/audio/translations",
        cast_to=object,
        body={"model": "tiny-morse", "response_format": "verbose_json"},
        files={"file": file},
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    with pytest.raises(openai.BadRequestError, match="could not be decoded"):
        gpt.audio.transcriptions.create(model="tiny-morse", file=("a.mp3", b"ID3"))

    assert heard.text == "CQ DE OE1ABC WX FINE"
    assert english["text"] == "calling all stations this is oe1abc weather fine"
    assert english["duration"] == pytest.approx(len(file[1]) / 16_000, abs=0.1)


def test_messages_whole_and_streamed_tell_the_same(claude):
    asked = {"model": "tiny-1", "max_tokens": 30, "messages": QUESTION, "system": "Be brief."}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    counted = claude.messages.count_tokens(model="tiny-1", messages=QUESTION, system="Be brief.")

    assert final.content[0].text == whole.content[0].text != ""
    assert final.usage == whole.usage
    assert whole.usage.input_tokens == counted.input_tokens
    assert whole.stop_reason in {"end_turn", "max_tokens"}
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_messages_call_tools_and_stop_at_sequences(claude):
    tool = {k: WEATHER[k] for k in ("name", "description")} | {"input_schema": WEATHER["schema"]}
    messages = [{"role": "user", "content": "How is the weather in Porto?"}]
    asked = {"model": "tiny-1", "max_tokens": 99, "messages": messages}
    called = claude.messages.create(**asked, tools=[tool])
    with claude.messages.stream(**asked, tools=[tool]) as stream:
        final = stream.get_final_message()
    stopped = claude.messages.create(**asked, stop_sequences=["."])

    assert called.stop_reason == "tool_use"
    assert called.content[0].input == final.content[0].input == {"city": "Porto"}
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", ".")


def test_models_are_listed_as_each_provider_does(gpt, claude, server):
    names = [model.id for model in gpt.models.list()]
    claudes = [model.id for model in claude.models.list()]
    with openai.OpenAI(base_url=server.ollama_url, api_key="none") as ollama:
        assert [model.id for model in ollama.models.list()] == names
        answer = ask(ollama, model="tiny-1:latest")

    assert "tiny-embed" in names
    assert claudes == [name for name in names if name.startswith("tiny-1")]
    assert answer.system_fingerprint == "fp_ollama"


ERRORS = {
    "context_too_long": (openai.BadRequestError, anthropic.BadRequestError),
    "content_filtered": (openai.BadRequestError, anthropic.BadRequestError),
    "key_refused": (openai.AuthenticationError, anthropic.AuthenticationError),
    "forbidden": (openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    "unknown_model": (openai.NotFoundError, anthropic.NotFoundError),
    "rate_limited": (openai.RateLimitError, anthropic.RateLimitError),
    "quota_spent": (openai.RateLimitError, anthropic.BadRequestError),
    "server_error": (openai.InternalServerError, anthropic.InternalServerError),
    "overloaded": (openai.InternalServerError, anthropic.OverloadedError),
}


def test_every_switched_error_is_in_the_table():
    assert set(ERRORS) == set(faults.MESSAGES)


@pytest.mark.parametrize("kind", ERRORS)
def test_switched_error_is_the_one_of_each_client(kind, gpt, claude):
    with pytest.raises(ERRORS[kind][0]) as refused:
        ask(gpt, model=f"tiny-1:{kind},retry_after=2")
    with pytest.raises(ERRORS[kind][1]) as message_refused:
        claude.messages.create(
            model="tiny-1",
            max_tokens=9,
            messages=QUESTION,
            extra_headers={"X-Fault": f"{kind},retry_after=2"},
        )

    assert refused.value.code == TROUBLES[kind].openai_code
    assert refused.value.type == TROUBLES[kind].openai_type
    assert refused.value.response.headers["Retry-After"] == "2"
    assert message_refused.value.body["error"]["type"] == TROUBLES[kind].anthropic_type
    assert message_refused.value.request_id


def test_fault_of_the_switch_hits_its_models_so_many_times(gpt, server):
    server.fail("overloaded", models=["tiny-1-large"], times=2)
    ask(gpt)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask(gpt, model="tiny-1-large")
    ask(gpt, model="tiny-1-large")

    assert [(one.model, one.outcome) for one in server.received] == [
        ("tiny-1", "answered"),
        ("tiny-1-large", "failed"),
        ("tiny-1-large", "failed"),
        ("tiny-1-large", "answered"),
    ]


def test_streams_break_as_switched(gpt, server):
    with pytest.raises(openai.APIConnectionError):
        streamed(gpt, model="tiny-1:cut_stream,after=2")
    with pytest.raises(openai.APIError, match="overloaded"):
        streamed(gpt, model="tiny-1:error_in_stream,after=2")
    ended = streamed(gpt, model="tiny-1:ended_stream,after=2")

    assert [c.choices[0].finish_reason for c in ended] == [None] * 3
    assert [(one.outcome, one.pieces) for one in server.received] == [("cut", 2)] * 3


def test_usage_is_told_as_switched(gpt, claude):
    options = {"stream_options": {"include_usage": True}}
    beside = streamed(gpt, model="tiny-1:usage_beside_choices", **options)
    untold = streamed(gpt, model="tiny-1:no_usage", **options)
    whole = ask(gpt, model="tiny-1:no_usage")

    assert beside[-1].choices
    assert beside[-1].usage.completion_tokens
    assert {c.usage for c in untold} == {None}
    assert whole.usage is None


def test_odd_answers_as_switched(gpt, server):
    refused = ask(gpt, model="tiny-1:refused_answer")
    large = streamed(gpt, model="tiny-1:large_event,bytes=300000")
    page = httpx2.post(
        f"{server.openai_url}/chat/completions",
        json={"model": "tiny-1:not_json", "messages": QUESTION},
        headers={"Authorization": f"Bearer {server.key}"},
    )

    assert (page.status_code, page.text[:6]) == (200, "<html>")
    assert refused.choices[0].message.refusal
    assert len(large[0].obfuscation) == 300_000


def test_caller_who_leaves_is_noticed(gpt, server):
    with pytest.raises(openai.APITimeoutError):
        ask(gpt, model="tiny-1:timeout", timeout=SHORT)
    stream = ask(gpt, model="tiny-1:slow,token_ms=60000", stream=True)
    next(stream)
    stream.close()

    assert [one.outcome for one in server.all_ended()] == ["left", "left"]


def test_nobody_is_answered_while_held(gpt, server):
    with server.holding():
        with pytest.raises(openai.APITimeoutError):
            ask(gpt, timeout=SHORT)
        assert len(server.received) == 1
    assert (ask(gpt)).choices
    assert server.received[1].body["messages"] == QUESTION


BAD_REQUESTS = {
    "no messages": {"messages": None},
    "odd role": {"messages": [{"role": "boss", "content": "x"}]},
    "odd content": {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
    "text for a number": {"max_tokens": "many"},
    "true for a number": {"max_tokens": True},
    "too warm": {"temperature": 3},
    "five stops": {"stop": list("abcde")},
    "unknown model": {"model": "gpt-none"},
    "wrong model": {"model": "tiny-embed"},
    "no model": {"model": ""},
    "unknown fault": {"model": "tiny-1:sing"},
    "too long": {"messages": [{"role": "user", "content": "a " * 3000}]},
    "tool without name": {"tools": [{"type": "function"}]},
    "schema without schema": {"response_format": {"type": "json_schema"}},
}


@pytest.mark.parametrize("change", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
async def test_bad_requests_are_refused_in_the_protocol(change, server):
    body = {"model": "tiny-1", "messages": QUESTION, **change}
    async with aiohttp.ClientSession() as session:
        for path, headers in (
            ("/v1/chat/completions", {"Authorization": f"Bearer {server.key}"}),
            ("/ollama/v1/chat/completions", {}),
        ):
            async with session.post(server.root + path, json=body, headers=headers) as answer:
                error = (await answer.json())["error"]
                assert answer.status in {400, 404}
                assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/v1/messages", "/v1/nothing", "/_fault"]
)
async def test_hostile_bodies_and_missing_keys_are_refused(path, server):
    async with aiohttp.ClientSession() as session:
        for raw in (b"", b"[1]", b"{", b"[" * 100_000, b"\xff"):
            async with session.post(server.root + path, data=raw) as answer:
                assert answer.status < 500
                await answer.json()
        async with session.get(f"{server.root}/v1/models") as answer:
            assert answer.status == 401
