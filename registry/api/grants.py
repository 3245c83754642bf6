"""Uses of credentials that were granted, or are to be, as the API answers them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from core.api.fields import VocabularyField
from core.api.serializers import StrictSerializer
from registry.policies.credential_grants import GrantLine, GrantState


class GrantLineSerializer(serializers.Serializer[Any]):
    """A use of a credential: what is sent to whom, and whether that was granted.

    `granted_by` and `granted_at` are of the last grant; what is CHANGED is not sent until it is
    granted again, and `note` says what differs.
    """

    subject = serializers.CharField()
    call = serializers.CharField()
    target = serializers.CharField()
    credential = serializers.CharField()
    state = VocabularyField(GrantState)
    granted_by = serializers.CharField()
    granted_at = serializers.SerializerMethodField()
    note = serializers.CharField()

    def get_granted_at(self, line: GrantLine) -> str | None:
        return line.granted_at or None


class GrantsAnswer(serializers.Serializer[Any]):
    """The credentials that are reached; `complete` says that each use of them is granted."""

    complete = serializers.BooleanField()
    grants = GrantLineSerializer(many=True)


def awaiting_field() -> serializers.ListField:
    """Return the field of what calls a row and waits for the credential that was linked just now.

    It is null in every answer but that to the link.
    """
    return serializers.ListField(child=serializers.CharField(), default=None, allow_null=True)


class AllowActionsInput(StrictSerializer):
    """The actions that may use the credential; all of them unless told."""

    actions = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=1000
    )


def show_grants(lines: Iterable[GrantLine]) -> dict[str, Any]:
    """Return what is answered of uses of credentials."""
    listed = list(lines)
    complete = all(line.state == GrantState.GRANTED for line in listed)
    return dict(GrantsAnswer({"complete": complete, "grants": listed}).data)
