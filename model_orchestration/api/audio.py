"""`/v1/audio` and `/models/audio`: recordings, heard by models."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.response import Response

from core.api.parsers import StrictJSONParser
from core.api.suspension import result_of
from model_orchestration.adapters.base import AudioFile
from model_orchestration.api.calling import OpenAIView, ReadCall, answer_headers
from model_orchestration.api.forms import FORM_WANTED, MOST_FILE_BYTES, AudioFormParser
from model_orchestration.api.native import NativeView
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models import RequestType
from model_orchestration.native_dialect import as_audio
from model_orchestration.reading import TEXT_FORMATS, read_transcription, read_translation
from model_orchestration.services.files import begin_fetch
from registry.exceptions import CallError

_FORM = {"multipart/form-data": OpenApiTypes.OBJECT}
_DATA_URL = re.compile(r"data:([\w/+.-]+)(?:;[\w=.-]+)*;base64,(.*)", re.DOTALL)


class AudioView(OpenAIView):
    """A view that takes a form with a recording, as OpenAI's API does."""

    parser_classes = (AudioFormParser,)

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, UnsupportedMediaType):
            error = InvalidModelRequest.at("file", FORM_WANTED)
        return super().handle_exception(error)

    def hear(self, request: Any, read: ReadCall) -> Response | HttpResponse:
        asked, call = self.read_call(read, request.data)
        served = self.serve(request, call, asked)
        headers = answer_headers(served)
        media_type = TEXT_FORMATS.get(str(call.body.get("response_format")))
        if media_type is None:
            return Response(served.told_body, headers=headers)
        return HttpResponse(served.body["text"], content_type=media_type, headers=headers)


class TranscriptionView(AudioView):
    """`/v1/audio/transcriptions`."""

    @extend_schema(request=_FORM, responses=OpenApiTypes.OBJECT)
    def post(self, request: Any) -> Response | HttpResponse:
        """Have a model write down what a recording says, as OpenAI's API does."""
        return self.hear(request, read_transcription)


class TranslationView(AudioView):
    """`/v1/audio/translations`."""

    @extend_schema(request=_FORM, responses=OpenApiTypes.OBJECT)
    def post(self, request: Any) -> Response | HttpResponse:
        """Have a model write down in English what a recording says, as OpenAI's API does."""
        return self.hear(request, read_translation)


class NativeAudioView(NativeView):
    """A view that takes a recording as a form, or says with `file_url` where it is."""

    parser_classes = (StrictJSONParser, AudioFormParser)

    def hear(self, request: Any, request_type: RequestType) -> Response:
        body = as_audio(request.data)
        body["file"] = request.data.get("file") or self._fetched(request)
        return self.wrap(self.ask(request, request_type, body))

    def _fetched(self, request: Any) -> AudioFile:
        """Return the recording that a request names. Raises: InvalidModelRequest."""
        url = request.data.get("file_url")
        if not isinstance(url, str) or not url:
            raise InvalidModelRequest.at("file_url", "Say where the recording is, or send a form.")
        if (within := _DATA_URL.fullmatch(url)) is not None:
            return _decoded(within)
        try:
            content = result_of(
                request, "file", lambda: begin_fetch(url, most_bytes=MOST_FILE_BYTES)
            )
        except CallError as error:
            raise InvalidModelRequest.at("file_url", error.message) from None
        name = url.partition("?")[0].rpartition("/")[2][:200] or "audio"
        return AudioFile(name, "application/octet-stream", content)


class NativeTranscriptionView(NativeAudioView):
    """`/models/audio/transcription`."""

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def post(self, request: Any) -> Response:
        """Have a model write down what the recording at `file_url`, or in the form, says."""
        return self.hear(request, RequestType.AUDIO_TRANSCRIPTION)


class NativeTranslationView(NativeAudioView):
    """`/models/audio/translation`."""

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def post(self, request: Any) -> Response:
        """Have a model write down in English what the recording at `file_url` says."""
        return self.hear(request, RequestType.AUDIO_TRANSLATION)


def _decoded(within: re.Match[str]) -> AudioFile:
    try:
        content = base64.b64decode(within[2], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidModelRequest.at("file_url", "Its base64 cannot be read.") from None
    kind = within[1]
    return AudioFile(f"audio.{_ENDINGS.get(kind, 'wav')}", kind, content)


# By which providers tell formats apart.
_ENDINGS: Mapping[str, str] = {
    "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/ogg": "ogg", "audio/webm": "webm",
    "audio/flac": "flac",
}  # fmt: skip
