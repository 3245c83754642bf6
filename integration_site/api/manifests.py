"""What is configured as files: applied, and written."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from core.api.fields import ObjectField, SecretField
from core.api.serializers import StrictSerializer
from core.api.viewsets import ResourceViewSet
from core.models import ManagedObject
from integration_site.manifests.applying import ApplyOptions, apply_files
from integration_site.manifests.exporting import export_files

MOST_FILES = 500
LONGEST_TEXT = 1024 * 1024


class ManifestFileInput(StrictSerializer):
    """A file with documents of YAML."""

    name = serializers.CharField(max_length=300)
    text = serializers.CharField(max_length=LONGEST_TEXT, allow_blank=True, trim_whitespace=False)


class ApplyInput(StrictSerializer):
    """Files that are to be applied together."""

    files = serializers.ListField(child=ManifestFileInput(), max_length=MOST_FILES)
    owner = serializers.CharField(
        max_length=100, required=False, help_text="What these files are, such as a repository."
    )
    prune = serializers.BooleanField(
        required=False, help_text="Delete what an earlier application made and no file has now."
    )
    dry_run = serializers.BooleanField(
        required=False, help_text="Say what would become of it, and do nothing."
    )
    take_over = serializers.BooleanField(required=False, help_text="Take what other files manage.")
    secrets = SecretField(
        required=False, help_text="The values of what the files name as {env: NAME}."
    )


class ManifestChangeAnswer(serializers.Serializer[Any]):
    """What became of one row. `fields` are by name: what it was, and what it is."""

    action = serializers.CharField(
        help_text="created, changed, unchanged, deleted, or left: no file has it now."
    )
    kind = serializers.CharField()
    name = serializers.CharField()
    file = serializers.CharField()
    document = serializers.IntegerField(allow_null=True)
    fields = ObjectField()  # type: ignore[assignment]


class ApplyAnswer(serializers.Serializer[Any]):
    """What became of what files say."""

    owner = serializers.CharField()
    dry_run = serializers.BooleanField()
    counts = serializers.DictField(child=serializers.IntegerField())
    changes = ManifestChangeAnswer(many=True)


class ManifestFileAnswer(serializers.Serializer[Any]):
    """A file."""

    name = serializers.CharField()
    text = serializers.CharField()


class ExportAnswer(serializers.Serializer[Any]):
    """A file for each kind of what there is."""

    files = ManifestFileAnswer(many=True)


class ManifestViewSet(ResourceViewSet):
    """`/manifests`."""

    queryset = ManagedObject.objects.none()
    scopes = {
        "apply": "registry:write|workflows:write",
        "export": "registry:read|workflows:read",
    }

    @extend_schema(request=ApplyInput, responses=ApplyAnswer)
    @sensitive_variables()
    def apply(self, request: Any) -> Response:
        """Make rows what files say: all of them, or none where something is refused."""
        given = self.read(ApplyInput)
        secrets = {name: value.reveal() for name, value in given.get("secrets", {}).items()}
        options = ApplyOptions(
            owner=given.get("owner", "files"),
            prune=given.get("prune", False),
            dry_run=given.get("dry_run", False),
            take_over=given.get("take_over", False),
            secrets=secrets,
        )
        files = [(file["name"], file["text"]) for file in given["files"]]
        changes = [asdict(each) for each in apply_files(files, request, options)]
        return Response(
            {
                "owner": options.owner,
                "dry_run": options.dry_run,
                "counts": Counter(each["action"] for each in changes),
                "changes": changes,
            }
        )

    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, many=True, description="Only these, such as Check."),
            OpenApiParameter("name", str, many=True, description="Only those of these names."),
        ],
        responses=ExportAnswer,
        filters=False,
    )
    def export(self, request: Any) -> Response:
        """Write what there is as files; secrets are named, and not in them."""
        kinds, names = (request.query_params.getlist(each) for each in ("kind", "name"))
        files = [
            {"name": name, "text": text} for name, text in export_files(kinds, names, self.caller)
        ]
        return Response({"files": files})
