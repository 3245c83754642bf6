"""Services as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import NumberField, ObjectField, VocabularyField
from core.api.instants import InstantField
from core.api.patches import PatchSerializer, default_of
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.json.merge_patch import MergePatch
from core.models.audit import MAX_REASON
from core.unknown_fields import UnknownFields
from registry.api.endpoints import with_actions_of_endpoints
from registry.api.grants import awaiting_field
from registry.discovery.base import Criteria
from registry.models import (
    Criticality,
    HttpMethod,
    RegistryChange,
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
    ServiceType,
)
from registry.models.status import explain_status
from registry.policies.liveness import Liveness
from registry.policies.registering import Acceptance
from registry.services import Heartbeat, Registration

MAX_ACTIONS = 500
_SERVICE_FIELDS = (
    "type", "description", "tags", "criticality", "breaker", "limits", "probing", "liveness",
)  # fmt: skip
INSTANCE_FIELDS = ("health_url", "zone", "weight", "ttl_seconds")


class MaintenanceAnswer(serializers.Serializer[Any]):
    """A maintenance that is under way; `until` is null where a person has to lift it."""

    since = serializers.DateTimeField(source="maintenance_since")
    until = serializers.DateTimeField(source="maintenance_until", allow_null=True)
    reason = serializers.CharField(source="maintenance_reason")
    by = serializers.CharField(source="maintenance_by")


class MaintainedSerializer(AnswerSerializer):
    """A row that may be under maintenance."""

    maintenance = serializers.SerializerMethodField()

    @extend_schema_field(MaintenanceAnswer(allow_null=True))
    def get_maintenance(self, row: Service | ServiceInstance) -> dict[str, Any] | None:
        return MaintenanceAnswer(row).data if row.maintenance_since else None


class ActionSerializer(AnswerSerializer):
    """An action in an answer."""

    input_schema = ObjectField()
    output_schema = ObjectField()
    unknown_fields = VocabularyField(UnknownFields, allow_null=True)

    class Meta:
        model = ServiceAction
        fields = (
            "name", "description", "method", "path", "input_schema", "output_schema",
            "timeout_seconds", "idempotent", "unknown_fields",
        )  # fmt: skip


class InstanceSerializer(MaintainedSerializer):
    """An instance in an answer; in MAINTENANCE also while its service is."""

    status = VocabularyField(ServiceStatus, source="usable_status")
    last_heartbeat = serializers.DateTimeField(source="last_heartbeat_at", allow_null=True)
    metadata = ObjectField()
    large = ("metadata",)
    whole_at = "/registry/services/{row.service_id}"
    suspect = serializers.BooleanField()
    last_answer = serializers.DateTimeField(source="last_answer_at", allow_null=True)
    status_reason = serializers.SerializerMethodField()

    class Meta:
        model = ServiceInstance
        fields = (
            "id", "url", "health_url", "status", "version", "zone", "weight", "ttl_seconds",
            "last_heartbeat", "last_answer", "expires_at", "registered_at", "metadata", "suspect",
            "maintenance", "status_reason",
        )  # fmt: skip

    def get_status_reason(self, instance: ServiceInstance) -> str:
        return explain_status(instance, now=timezone.now())


class ServiceSerializer(MaintainedSerializer):
    """A service in an answer; its url is that of its preferred instance."""

    acceptance = VocabularyField(Acceptance)
    actions = ActionSerializer(many=True)
    instances = InstanceSerializer(many=True)
    url = serializers.SerializerMethodField()
    endpoint = serializers.SerializerMethodField()
    health_url = serializers.SerializerMethodField()
    last_heartbeat = serializers.SerializerMethodField()
    registered_at = serializers.DateTimeField(source="created_at")
    tags = serializers.ListField(child=serializers.CharField())
    credential = serializers.CharField(source="credential.name", default=None, allow_null=True)
    breaker = ObjectField()
    limits = ObjectField()
    probing = ObjectField()
    metadata = ObjectField()
    awaiting_grant = awaiting_field()
    large = (
        "description", "breaker", "limits", "probing", "tags", "metadata", "actions", "instances",
    )  # fmt: skip
    whole_at = "/registry/services/{row.pk}"

    class Meta:
        model = Service
        fields = (
            "id", "name", "type", "description", "version", "url", "endpoint", "health_url",
            "status", "acceptance", "maintenance", "criticality", "credential", "breaker", "limits",
            "probing", "liveness", "tags", "metadata", "owner", "actions", "instances",
            "last_heartbeat", "registered_at", "created_at", "updated_at", "awaiting_grant",
        )  # fmt: skip

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_url(self, service: Service) -> str | None:
        instance = service.preferred_instance()
        return instance.url if instance else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_endpoint(self, service: Service) -> str | None:
        return self.get_url(service)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_health_url(self, service: Service) -> str | None:
        instance = service.preferred_instance()
        return (instance.health_url or None) if instance else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last_heartbeat(self, service: Service) -> str | None:
        beats = [i.last_heartbeat_at for i in service.instances.all() if i.last_heartbeat_at]
        if not beats:
            return None
        return serializers.DateTimeField().to_representation(max(beats))


class ActionInput(StrictSerializer):
    """An action as a service registers it."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    method = VocabularyField(HttpMethod, required=False)
    path = serializers.CharField(max_length=500, required=False, allow_blank=True)
    input_schema = ObjectField(required=False)
    output_schema = ObjectField(required=False)
    timeout_seconds = NumberField(required=False, allow_null=True)
    idempotent = serializers.BooleanField(required=False)
    unknown_fields = VocabularyField(UnknownFields, required=False, allow_null=True)
    other_names = {"endpoint": "path", "timeout": "timeout_seconds"}

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value({"name": data} if isinstance(data, str) else data)


class ServiceInput(StrictSerializer):
    """A service as it registers itself, or is changed."""

    name = serializers.CharField(max_length=100)
    type = VocabularyField(ServiceType, required=False)
    description = serializers.CharField(
        max_length=5000, allow_blank=True, required=False, allow_null=True
    )
    url = serializers.CharField(max_length=500, required=False)
    health_url = serializers.CharField(
        max_length=500, required=False, allow_blank=True, allow_null=True
    )
    version = serializers.CharField(max_length=50, required=False, allow_blank=True)
    actions = serializers.ListField(child=ActionInput(), required=False, max_length=MAX_ACTIONS)
    metadata = ObjectField(required=False, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    criticality = VocabularyField(Criticality, required=False)
    breaker = ObjectField(required=False)
    limits = ObjectField(required=False)
    credential = serializers.CharField(
        max_length=100, required=False, allow_blank=True, allow_null=True
    )
    probing = ObjectField(required=False)
    liveness = VocabularyField(Liveness, required=False)
    status = VocabularyField(ServiceStatus, required=False)
    ttl_seconds = serializers.IntegerField(min_value=3, max_value=86400, required=False)
    weight = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    zone = serializers.CharField(max_length=100, required=False, allow_blank=True)
    other_names = {
        "endpoint": "url",
        "base_url": "url",
        "service_type": "type",
        "health_check_url": "health_url",
        "capabilities": "tags",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Take `endpoints`, which earlier services have in place of actions."""
        return super().to_internal_value(with_actions_of_endpoints(data))


class ServicePatch(PatchSerializer, ServiceInput):
    """A change of a service, and of its instances where it is about them."""

    model = Service
    lasting = frozenset({"url", "status"})
    merged = frozenset({"metadata", "breaker", "limits", "probing"})

    def without(self, name: str) -> Any:
        if name == "actions":
            return []
        model = ServiceInstance if name in INSTANCE_FIELDS else Service
        return default_of(model, name)


class InstanceInput(StrictSerializer):
    """One more place where a service answers."""

    url = serializers.CharField(max_length=500)
    health_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    version = serializers.CharField(max_length=50, required=False, allow_blank=True)
    status = VocabularyField(ServiceStatus, required=False)
    zone = serializers.CharField(max_length=100, required=False, allow_blank=True)
    weight = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    ttl_seconds = serializers.IntegerField(min_value=3, max_value=86400, required=False)
    metadata = ObjectField(required=False)
    other_names = {"endpoint": "url", "base_url": "url", "health_check_url": "health_url"}


def registration_of(
    data: dict[str, Any], *, name: str = "", grants_users: bool = False
) -> Registration:
    """Return what the checked body of a registration or a change says."""
    metadata = data.get("metadata")
    fields = {k: data.get(k) for k in _SERVICE_FIELDS}
    return Registration(
        name=data.get("name") or name,
        url=data.get("url"),
        fields={**fields, "metadata": metadata, "version": _version_of(data)},
        status=data.get("status"),
        credential=(data["credential"] or "") if "credential" in data else None,
        grants_users=grants_users,
        instance_fields={k: data[k] for k in INSTANCE_FIELDS if data.get(k) is not None},
        actions=data.get("actions"),
    )


def _version_of(data: dict[str, Any]) -> str | None:
    """Return the version that is given, or that the metadata tells; None without either."""
    metadata = data.get("metadata") or {}
    members = metadata.members if isinstance(metadata, MergePatch) else metadata
    of_metadata = str(members.get("version") or "")[:50] or None
    return data.get("version") or of_metadata or data.get("version")


class HeartbeatInput(StrictSerializer):
    """A sign of life."""

    status = VocabularyField(ServiceStatus, required=False)
    instance_id = serializers.CharField(max_length=100, required=False, allow_blank=True)
    url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    metadata = ObjectField(required=False, allow_null=True)
    other_names = {"endpoint": "url", "base_url": "url"}

    @staticmethod
    def heartbeat(data: dict[str, Any]) -> Heartbeat:
        return Heartbeat(**{k: v for k, v in data.items() if v is not None})


class StatusInput(StrictSerializer):
    """A status to set; `until` ends MAINTENANCE by itself."""

    status = VocabularyField(ServiceStatus)
    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)
    until = InstantField(required=False, allow_null=True)


class AcceptanceInput(StrictSerializer):
    """Why a registration is accepted or refused."""

    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


class ExecuteActionInput(StrictSerializer):
    """What an action is called with."""

    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
    timeout = NumberField(min_value=0.1, max_value=60, required=False)
    other_names = {"input": "input_data", "data": "input_data"}


class TagsInput(StrictSerializer):
    """Tags that must all, partly or not be there."""

    all = serializers.ListField(child=serializers.CharField(max_length=100), default=list)
    any = serializers.ListField(child=serializers.CharField(max_length=100), default=list)
    none = serializers.ListField(child=serializers.CharField(max_length=100), default=list)

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value({"all": data} if isinstance(data, list) else data)


class SearchInput(StrictSerializer):
    """Criteria of a search; an empty one asks for nothing."""

    types = serializers.ListField(child=VocabularyField(ServiceType), default=list)
    statuses = serializers.ListField(child=VocabularyField(ServiceStatus), default=list)
    tags = TagsInput(default=dict)
    metadata = ObjectField(default=dict)
    name = serializers.CharField(max_length=100, default="", allow_blank=True)
    action = serializers.CharField(max_length=100, default="", allow_blank=True)
    zone = serializers.CharField(max_length=100, default="", allow_blank=True)
    search = serializers.CharField(max_length=100, default="", allow_blank=True)
    minimum_version = serializers.CharField(max_length=50, default="", allow_blank=True)
    include_offline = serializers.BooleanField(default=False)
    page = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False)
    per_page = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False)
    other_names = {
        "type": "types",
        "service_type": "types",
        "service_types": "types",
        "status": "statuses",
        "tag": "tags",
        "capability": "tags",
        "capabilities": "tags",
        "min_version": "minimum_version",
        "query": "search",
    }

    @staticmethod
    def criteria_of(data: dict[str, Any]) -> Criteria:
        """Return what the checked body looks for."""
        tags = data["tags"]
        return Criteria(
            types=tuple(data["types"]),
            statuses=tuple(data["statuses"]),
            name=data["name"],
            action=data["action"],
            zone=data["zone"],
            search=data["search"],
            minimum_version=data["minimum_version"],
            tags_all=tuple(tags.get("all", ())),
            tags_any=tuple(tags.get("any", ())),
            tags_none=tuple(tags.get("none", ())),
            metadata=data["metadata"],
            include_offline=data["include_offline"],
        )

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        nested = {
            k: ["Must be a text, a number, true, false or null."]
            for k in value
            if isinstance(value[k], dict | list)
        }
        if nested:
            raise serializers.ValidationError(nested)
        return value

    def to_internal_value(self, data: Any) -> Any:
        """Take a single type, status or tag for a list of one."""
        if isinstance(data, dict):
            data = {
                key: [value] if self._is_list(key) and isinstance(value, str) else value
                for key, value in data.items()
            }
        return super().to_internal_value(data)

    def _is_list(self, key: str) -> bool:
        name = self.other_names.get(key, key)
        return key in ("tag", "capability") or name in ("types", "statuses")


class ChangeSerializer(AnswerSerializer):
    """One entry of the log that watchers follow."""

    kind = VocabularyField(RegistryChangeKind)

    class Meta:
        model = RegistryChange
        fields = ("index", "service_id", "service_name", "kind", "status", "created_at")
