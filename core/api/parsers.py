"""Reading bodies: JSON objects of at most 1 MiB, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from core.json import strict

MAX_BODY_BYTES = 1024 * 1024


class MalformedJSON(APIException):
    """A body that is no JSON, or JSON that is not taken."""

    status_code = 400
    problem_code = "malformed_json"


class PayloadTooLarge(APIException):
    """A body over the limit."""

    status_code = 413


class StrictJSONParser(BaseParser):
    """Takes a JSON object; refuses what could not be stored or echoed."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the object.

        Raises:
            PayloadTooLarge: the body is over 1 MiB.
            MalformedJSON: the body is not a JSON object, or holds what is not taken.
        """
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge("The body is larger than 1 MiB. Send less at once.")
        if not body.strip():
            return {}
        try:
            value = strict.parse(body)
        except strict.JSONRefused as error:
            raise MalformedJSON(f"The body is not usable JSON: {error}") from None
        if not isinstance(value, dict):
            words = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
            raise MalformedJSON(
                f"The body must be a JSON object, not {words.get(type(value), 'a number')}."
            )
        return value
