"""Reading forms with a recording: all of it in memory, none on a disk, and of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from core.api.parsers import PayloadTooLarge
from model_orchestration.adapters.base import AudioFile
from model_orchestration.exceptions import InvalidModelRequest

# As OpenAI's API has it.
MOST_FILE_BYTES = 25 * 1024 * 1024
TOO_LARGE = "The recording is larger than 25 MiB. Send it in parts, or in a denser format."
FORM_WANTED = "Send the recording as a form: Content-Type: multipart/form-data."
_USUAL_TYPE = "application/octet-stream"


class MalformedForm(APIException):
    """A form that cannot be read."""

    status_code = 400
    problem_code = "malformed_form"


class AudioFormParser(BaseParser):
    """Takes a form: texts, lists of them where a name is there twice, and one file."""

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the fields of the form, `file` as an AudioFile.

        Raises:
            InvalidModelRequest: it is no form.
            PayloadTooLarge: the file is over 25 MiB, or the fields are over 2 MiB.
            MalformedForm: the form cannot be read.
        """
        if not (media_type or "").lower().startswith(self.media_type):
            raise InvalidModelRequest.at("file", FORM_WANTED)
        assert parser_context is not None
        meta = {**parser_context["request"].META, "CONTENT_TYPE": media_type}
        keeper = _FileKeeper()
        try:
            fields, _ = MultiPartParser(meta, stream, [keeper]).parse()
        except SuspiciousOperation:
            raise PayloadTooLarge("The form has too many fields, or too large ones.") from None
        except MultiPartParserError as error:
            raise MalformedForm(f"The form cannot be read: {error}") from None
        if keeper.is_too_large:
            raise PayloadTooLarge(TOO_LARGE)
        found = _plain(fields)
        if keeper.recording is not None:
            found["file"] = keeper.recording
        return found


def _plain(fields: QueryDict) -> dict[str, Any]:
    """Return each field as its text, or as a list where it is there twice or its name says so."""
    lists = {name.replace("\0", ""): list(values) for name, values in fields.lists()}
    return {
        name: values if len(values) > 1 or name.endswith("[]") else values[0]
        for name, values in lists.items()
        if values
    }


class _FileKeeper(FileUploadHandler):
    """Keeps the file of a form in memory; there can be one."""

    def __init__(self) -> None:
        super().__init__()
        self.recording: AudioFile | None = None
        self.is_too_large = False
        self._parts: list[bytes] = []
        self._size = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._size += len(raw_data)
        if self._size > MOST_FILE_BYTES:
            self.is_too_large = True
            self._parts.clear()
            raise StopUpload(connection_reset=True)
        self._parts.append(raw_data)

    def file_complete(self, file_size: int) -> None:
        if self.field_name == "file":
            name, kind = self.file_name or "audio", self.content_type or _USUAL_TYPE
            self.recording = AudioFile(name, kind, b"".join(self._parts))
        self._parts.clear()
