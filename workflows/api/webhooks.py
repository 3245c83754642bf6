"""Inbound webhooks: kept like any resource, and called by whoever has the secret."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.response import Response

from core.api.actions import nested_list
from core.api.fields import VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.parsers import MAX_BODY_BYTES, PayloadTooLarge
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.media_types import is_json, media_type_of
from core.request_ids import current_request_id
from registry.api.integrations import MappingField
from registry.credentials.webhook_signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
)
from workflows import services
from workflows.models import (
    DeliveryOutcome,
    FindBy,
    Webhook,
    WebhookDelivery,
    WebhookEffect,
)

_SIGNED = [
    OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True, description=words)
    for name, words in (
        (ID_HEADER, "The id of the message: the same one is taken once."),
        (TIMESTAMP_HEADER, "Seconds since 1970, at most 300 from now."),
        (SIGNATURE_HEADER, "`v1,` and the base64 of the HMAC-SHA256 over id.timestamp.body."),
    )
]


class WebhookSerializer(AnswerSerializer):
    """A webhook in an answer; `path` is where messages are sent."""

    credential = serializers.CharField(source="credential.name")
    old_credential = serializers.CharField(
        source="old_credential.name", default=None, allow_null=True
    )
    effect = VocabularyField(WebhookEffect)
    workflow = serializers.CharField(source="workflow.name", default=None, allow_null=True)
    find_by = VocabularyField(FindBy)
    mapping = MappingField()
    path = serializers.SerializerMethodField()
    large = ("description", "mapping", "signal", "find")
    whole_at = "/webhooks/{row.pk}"

    class Meta:
        model = Webhook
        fields = (
            "id", "name", "description", "enabled", "path", "credential", "old_credential",
            "effect", "workflow", "signal", "find_by", "find", "mapping", "created_at",
            "updated_at",
        )  # fmt: skip

    def get_path(self, webhook: Webhook) -> str:
        return path_of(webhook)


def path_of(webhook: Webhook) -> str:
    """Return the path to which messages to a webhook are sent."""
    return f"/webhooks/{webhook.name.replace(' ', '%20')}"


class WebhookInput(StrictSerializer):
    """A webhook as it is made or changed; the workflow and credentials are ids or names."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    enabled = serializers.BooleanField(required=False)
    credential = serializers.CharField(max_length=100)
    old_credential = serializers.CharField(
        max_length=100, required=False, allow_null=True, allow_blank=True
    )
    effect = VocabularyField(WebhookEffect, required=False)
    workflow = serializers.CharField(max_length=100, required=False, allow_null=True)
    signal = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    find_by = VocabularyField(FindBy, required=False)
    find = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    mapping = MappingField(required=False, allow_null=True)


class WebhookPatch(PatchSerializer, WebhookInput):
    """A change of a webhook; a mapping that is given replaces the old one."""

    model = Webhook
    lasting = frozenset({"enabled"})


class DeliverySerializer(AnswerSerializer):
    """What became of a message, or of several alike; its body is not kept."""

    outcome = VocabularyField(DeliveryOutcome)

    class Meta:
        model = WebhookDelivery
        fields = (
            "id", "message_id", "outcome", "code", "reason", "execution_id", "count", "request_id",
            "created_at", "updated_at",
        )  # fmt: skip


class ReceivedAnswer(serializers.Serializer[Any]):
    """What a message did, now or when it came first."""

    status = serializers.ChoiceField(choices=["ACCEPTED", "DUPLICATE"])
    delivery_id = serializers.UUIDField()
    execution_id = serializers.UUIDField(allow_null=True)


class WebhookFilter(django_filters.FilterSet):
    """Filters of the list of webhooks."""

    effect = VocabularyFilter(WebhookEffect)
    enabled = django_filters.BooleanFilter()
    workflow = NameFilter("workflow__name")
    search = SearchFilter("name__icontains")


class DeliveryFilter(django_filters.FilterSet):
    """Filters of the history of a webhook."""

    outcome = VocabularyFilter(DeliveryOutcome)


class WebhookViewSet(NamedResourceViewSet):
    """`/webhooks`. A POST to one of them is a message, and needs a signature instead of a key."""

    queryset = Webhook.objects.with_parts()
    serializer_class = WebhookSerializer
    input_class = WebhookInput
    patch_class = WebhookPatch
    filterset_class = WebhookFilter
    ordering_fields = ("name", "created_at", "updated_at")
    cursor_order = "-id"
    read_scope = "workflows:read"
    write_scope = "workflows:write"
    scopes = {"deliveries": read_scope}
    # The id of the message is the key.
    own_keys = frozenset({"receive"})

    @property
    def is_message(self) -> bool:
        """Whether this is a message from outside, and not a caller of the API."""
        method = self.request.method if self.request is not None else None
        return method == "POST" and self.action_map.get("post") == "receive"

    def get_authenticators(self) -> list[Any]:
        """Return none for a message, which its signature shows to be the sender's."""
        return [] if self.is_message else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [] if self.is_message else super().get_permissions()

    def get_rows(self) -> Any:
        """The webhooks, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> Webhook:
        """One webhook, by id or name."""
        return services.get_webhook(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Webhook:
        """Make a webhook; its secret is that of an HMAC signature credential."""
        return services.create_webhook(
            fields, actor=self.actor, may_use_credentials=self.may_use_credentials
        )

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Webhook:
        """Change what is given and leave the rest; null takes a field away."""
        return services.update_webhook(
            row,
            fields,
            actor=self.actor,
            if_unchanged=if_unchanged,
            may_use_credentials=self.may_use_credentials,
        )

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a webhook with its history; executions go on and stay."""
        services.delete_webhook(row, actor=self.actor, if_unchanged=if_unchanged)

    @extend_schema(
        auth=[],
        parameters=_SIGNED,
        request={"application/json": {"type": "object", "additionalProperties": {}}},
        responses={202: ReceivedAnswer, 200: ReceivedAnswer},
    )
    def receive(self, request: Any, pk: str) -> Response:
        """Take a signed message: it starts or signals an execution, once. Needs no key."""
        webhook = services.get_webhook(pk)
        received = services.receive_message(
            webhook, request.headers, _read_body(request), request_id=current_request_id()
        )
        body = {
            "status": "ACCEPTED" if received.is_new else "DUPLICATE",
            "delivery_id": str(received.delivery.pk),
            "execution_id": received.delivery.execution_id,
        }
        return Response(body, status=202 if received.is_new else 200)

    @nested_list(
        DeliverySerializer, queryset=WebhookDelivery.objects.all(), filterset_class=DeliveryFilter
    )
    def deliveries(self, request: Any, pk: str) -> Response:
        """What became of the messages, the latest first."""
        rows = services.get_webhook(pk).deliveries.order_by("-id")
        return self.answer_page(rows, DeliverySerializer)


def _read_body(request: Any) -> bytes:
    """Return the body as it came: the signature is over its bytes.

    Raises:
        PayloadTooLarge: it is over 1 MiB.
        UnsupportedMediaType: it says that it is no JSON.
    """
    if media_type_of(request.content_type) and not is_json(request.content_type):
        raise UnsupportedMediaType(request.content_type)
    body = request.stream.read(MAX_BODY_BYTES + 1) if request.stream is not None else b""
    if len(body) > MAX_BODY_BYTES:
        raise PayloadTooLarge("The body is larger than 1 MiB.")
    return body
