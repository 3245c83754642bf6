"""`/models/prompts`: the prompt library."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.fields import AnyField, ObjectField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.configured_rows import delete_row
from core.exceptions import NotFound, ValidationFailed
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models import Prompt, PromptVersion
from model_orchestration.prompt_library import filled_in, find_version
from model_orchestration.prompting import LONGEST_TEMPLATE, ROLES
from model_orchestration.services.prompts import create_prompt, update_prompt

READ, WRITE = "models:read", "models:write"


class TemplateMessage(StrictSerializer):
    """A message of a prompt, with `{{name}}` where the value of a variable goes."""

    role = serializers.CharField(max_length=20, help_text=", ".join(ROLES))
    content = serializers.CharField(max_length=LONGEST_TEMPLATE, trim_whitespace=False)


class PromptVariable(StrictSerializer):
    """A variable of a prompt; without a default, it takes a value."""

    name = serializers.CharField(max_length=50)
    description = serializers.CharField(max_length=500, allow_blank=True, required=False)
    default = AnyField(required=False)


class PromptSerializer(AnswerSerializer):
    """A prompt in an answer: its latest version."""

    messages = TemplateMessage(many=True)
    variables = AnyField()
    large = ("description", "messages", "variables")
    whole_at = "/models/prompts/{row.pk}"

    class Meta:
        model = Prompt
        fields = (
            "id", "name", "description", "version", "messages", "variables", "created_at",
            "updated_at",
        )  # fmt: skip


class PromptVersionSerializer(AnswerSerializer):
    """A version of a prompt."""

    messages = TemplateMessage(many=True)
    variables = AnyField()
    large = ("messages", "variables")
    whole_at = "/models/prompts/{row.prompt_id}/versions/{row.number}"

    class Meta:
        model = PromptVersion
        fields = ("number", "messages", "variables", "made_by", "created_at")


class PromptInput(StrictSerializer):
    """A prompt as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    messages = TemplateMessage(many=True)
    variables = PromptVariable(many=True, required=False)


class PromptPatch(PatchSerializer, PromptInput):
    """A change of a prompt."""

    model = Prompt


class RenderInput(StrictSerializer):
    """With what a prompt is filled in."""

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    variables = ObjectField(required=False)


class RenderedPrompt(serializers.Serializer[Any]):
    """The messages that a model would be sent."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    messages = TemplateMessage(many=True)


class PromptFilter(django_filters.FilterSet):
    """Filters of the list of prompts."""

    name = NameFilter()
    search = SearchFilter()


class PromptViewSet(NamedResourceViewSet):
    """`/models/prompts`."""

    queryset = Prompt.objects.all()
    serializer_class = PromptSerializer
    input_class = PromptInput
    patch_class = PromptPatch
    filterset_class = PromptFilter
    ordering_fields = ("name", "created_at", "updated_at")
    read_scope, write_scope = READ, WRITE
    scopes = {"versions": READ, "version": READ, "render": "models:use|models:read"}

    def get_rows(self) -> Any:
        """The prompts, by name unless ordered otherwise."""
        return Prompt.objects.order_by("name")

    def find(self) -> Prompt:
        """One prompt, by id or name."""
        return Prompt.objects.get_named(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Prompt:
        """Store a prompt: messages with variables, which requests name instead of writing them."""
        return create_prompt(fields)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Prompt:
        """Change what is given; other messages or variables are the next version."""
        return update_prompt(row, fields, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a prompt with all its versions: requests that name it are refused."""
        delete_row(row, if_unchanged=if_unchanged)

    @nested_list(PromptVersionSerializer)
    def versions(self, request: Any, pk: str) -> Response:
        """The versions of a prompt, the latest first."""
        rows = PromptVersion.objects.filter(prompt=self.find()).order_by("-number")
        return self.answer_page(rows, PromptVersionSerializer)

    @extend_schema(responses=PromptVersionSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path=r"versions/(?P<number>[0-9]{1,9})")
    def version(self, request: Any, pk: str, number: str) -> Response:
        """One version of a prompt, by its number."""
        prompt = self.find()
        row = PromptVersion.objects.filter(prompt=prompt, number=int(number)).first()
        if row is None:
            raise NotFound(f"'{prompt.name}' has the versions 1 to {prompt.version}.")
        return Response(PromptVersionSerializer(row).data)

    @post_action(request=RenderInput, responses=RenderedPrompt)
    def render(self, request: Any, pk: str) -> Response:
        """Fill in a prompt and answer its messages; no model is asked."""
        row, data = self.find(), self.read(RenderInput)
        try:
            template = find_version(row.name, data.get("version"))
            messages = filled_in(template, data.get("variables"))
        except InvalidModelRequest as error:
            field = str(error.details["param"]).removeprefix("prompt.")
            raise ValidationFailed.at(field, error.message.partition(": ")[2]) from None
        number = data.get("version") or row.version
        return Response({"name": row.name, "version": number, "messages": messages})
