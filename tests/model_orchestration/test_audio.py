"""Recordings: OpenAI's own package against the hub and the local model server, and the limits."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from aiohttp import web
from django.utils import timezone
from rest_framework.test import APIClient

from model_orchestration.adapters.audio import encode_form, likely_seconds, most_seconds
from model_orchestration.api import forms
from model_orchestration.models import Model, ModelBudget, ModelPrice, Request
from reference_services.model_server import morse
from tests import factories
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.model_servers import ModelServer, running_model_server

WAVE = morse.render("CQ de OE1ABC wx fine")
SECONDS = (len(WAVE) - 44) / 16_000
AUDIO = ["AUDIO_TRANSCRIPTION", "AUDIO_TRANSLATION"]


def test_length_is_exact_of_plain_waves_and_bounded_of_all_else() -> None:
    assert most_seconds(WAVE) == likely_seconds(WAVE) == pytest.approx(SECONDS, abs=0.01)
    assert most_seconds(b"ID3" + bytes(5997)) == 8.0
    # A head that does not agree with itself is not believed.
    assert most_seconds(WAVE[:32] + b"\x09\x00" + WAVE[34:]) == len(WAVE) * 8 / 6_000
    assert most_seconds(b"RIFF") < 1


def test_form_cannot_be_broken_out_of_by_a_name() -> None:
    form = encode_form(
        {"language": "de", "granularities[]": ["word", "segment"]},
        name='a"\r\nX: y.wav', media_type="audio/wav", content=b"\r\n--b--", boundary="bb",
    )  # fmt: skip
    assert b'filename="a%22%0D%0AX: y.wav"' in form
    assert form.count(b'name="granularities[]"') == 2
    assert form.endswith(b"\r\n--b--\r\n--bb--\r\n")


# --- Through the hub ---


@pytest.fixture(scope="module")
def _models() -> Iterator[ModelServer]:
    with running_model_server() as server:
        yield server


@pytest.fixture
def local(_models: ModelServer, transactional_db: None) -> Model:
    _models.reset()
    credential = make_credential(secret={"token": _models.key}, allowed_origins=[_models.root])
    connection = make_connection(base_url=_models.openai_url, credential=credential)
    model = Model.objects.create(
        name="ear", provider="CUSTOM", provider_model="tiny-morse", capabilities=AUDIO,
        connection=connection,
    )  # fmt: skip
    ModelPrice.objects.create(model=model, valid_from=timezone.now(), per_second="0.0001")
    return model


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
@pytest.mark.usefixtures("local")
def test_package_of_openai_has_recordings_heard(hub: str, key: str) -> None:
    ModelBudget.objects.create(name="all", scope="ALL", cost_limit=1)
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        heard = client.audio.transcriptions.with_raw_response.create(
            model="Ear", file=("call.wav", WAVE), language="en", temperature=0.2
        )
        english = client.audio.translations.create(model="ear", file=("call.wav", WAVE))
        text = client.audio.transcriptions.create(
            model="ear", file=("call.wav", WAVE), response_format="text"
        )
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.transcriptions.create(model="ear", file=("a.mp3", b"ID3"))
        with pytest.raises(openai.BadRequestError, match="Use one of"):
            client.audio.transcriptions.create(
                model="ear",
                file=("a.wav", WAVE),
                response_format="mp4",  # type: ignore[call-overload]
            )
    parsed = heard.parse()
    assert parsed.text == "CQ DE OE1ABC WX FINE"
    assert english.text == "calling all stations this is oe1abc weather fine"
    assert text == "CQ DE OE1ABC WX FINE\n"
    assert refused.value.code == "invalid_request"
    first, *_, failed = Request.objects.order_by("id")
    whole = round(SECONDS)
    assert (first.request_type, first.state) == ("AUDIO_TRANSCRIPTION", "SETTLED")
    assert (first.audio_seconds, first.cost_nanousd) == (whole, whole * 100_000)
    assert heard.headers["x-cost-usd"] == f"{whole / 10_000:.4f}".rstrip("0")
    assert first.reserved_nanousd >= first.cost_nanousd
    assert (failed.state, failed.cost_nanousd) == ("FAILED", 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
@pytest.mark.usefixtures("local", "shared_client")
def test_native_route_takes_a_form_or_says_where_the_recording_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = factories.caller("SERVICE", name="program")
    url = f"data:audio/wav;base64,{base64.b64encode(WAVE).decode()}"
    path = "/api/models/audio/translation"
    told = program.post(path, {"model_id": "ear", "file_url": url, "project_id": "apollo"})
    assert told.status_code == 200, told.content
    body = told.json()
    assert body["response"]["text"] == "calling all stations this is oe1abc weather fine"
    assert (body["model_id"], body["cost"] > 0) == ("ear", True)
    assert Request.objects.get().project_id == "apollo"
    for bad in ("", "data:audio/wav;base64,%", "ftp", "http://127.0.0.1:9/a.wav", 5):
        refused = program.post(path, {"file_url": bad})
        assert refused.status_code == 400, (bad, refused.content)
        assert "file_url" in refused.json()["errors"], refused.content
    as_form = _send_form(program, path, model="ear", file=WAVE)
    assert as_form.json()["response"] == body["response"]
    monkeypatch.setattr(forms, "MOST_FILE_BYTES", 1000)
    large = _send_form(program, "/v1/audio/transcriptions", model="ear", file=WAVE)
    assert (large.status_code, large.json()["error"]["type"]) == (413, "invalid_request_error")
    plain = program.post("/v1/audio/transcriptions", {"model": "ear"})
    assert (plain.status_code, plain.json()["error"]["param"]) == (400, "file"), plain.content
    assert _send_form(program, "/v1/audio/transcriptions", model="ear").status_code == 400


def _send_form(program: APIClient, path: str, *, model: str, file: bytes = b"") -> Any:
    form = encode_form(
        {"model": model}, name="a.wav", media_type="audio/wav", content=file, boundary="bb"
    )
    kind = "multipart/form-data; boundary=bb"
    return program.generic("POST", path, form, content_type=kind)  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_file_is_fetched_from_where_a_connection_leads(
    local: Model, shared_client: None, provider: Any, make_model: Callable[..., Model]
) -> None:
    async def recording(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        assert "Authorization" not in request.headers
        return web.Response(body=WAVE)

    make_model("other")  # a connection to the stand-in
    provider.next(recording)
    url = f"{provider.url}/files/call.wav"
    answer = factories.caller("SERVICE").post(
        "/models/audio/transcription", {"file_url": url, "model_id": "ear"}
    )
    assert answer.json()["response"]["text"] == "CQ DE OE1ABC WX FINE", answer.content
