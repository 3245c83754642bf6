"""The registry: services register, beat, are changed and leave."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from core import audit
from core.api.actions import post_action
from core.api.exchange import concerns
from core.api.list_items import in_list
from core.api.named_resource import NamedResourceViewSet
from core.api.suspension import result_of
from core.models import AuditVerb
from registry import services
from registry.api.filters import ServiceFilter, selecting_fields
from registry.api.grants import AllowActionsInput, GrantsAnswer, show_grants
from registry.api.registrants import registrant_of
from registry.api.service_health import PROBE_PARAMETER, ServiceHealthAnswer, describe_health
from registry.api.service_pages import keys_of, render_page
from registry.api.service_serializers import (
    AcceptanceInput,
    ExecuteActionInput,
    HeartbeatInput,
    InstanceInput,
    InstanceSerializer,
    ServiceInput,
    ServicePatch,
    ServiceSerializer,
    StatusInput,
    registration_of,
)
from registry.calls.blocking_client import begin_call
from registry.calls.client import Behalf, CallResult
from registry.calls.headers import call_headers, dropped_fields, key_of_caller
from registry.calls.targets.resolver import CallTarget
from registry.credentials.grants import lines_of_actions
from registry.models import Service
from registry.policies.registering import Registrant

ACTION_OUTPUT = {"type": ["object", "array"]}


class ServiceViewSet(NamedResourceViewSet):
    """`/registry/services`."""

    queryset = Service.objects.all()
    serializer_class = ServiceSerializer
    input_class = ServiceInput
    patch_class = ServicePatch
    filterset_class = ServiceFilter
    ordering_fields = ("name", "type", "status", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:register|registry:write"
    scopes = {
        "health": read_scope,
        "heartbeat": write_scope,
        "set_status": write_scope,
        "set_instance_status": write_scope,
        "instances": read_scope,
        "add_instance": write_scope,
        "remove_instance": write_scope,
        "execute_action": "actions:execute",
        "accept": "registry:operate",
        "refuse": "registry:operate",
        "grants": read_scope,
        "allow": "credentials:use",
    }
    takes_force = takes_grant = True
    calls_out = frozenset({"execute_action"})
    own_keys = frozenset({"heartbeat"})

    @property
    def registrant(self) -> Registrant:
        """Who registers, with the rights of the key or person."""
        return registrant_of(self.caller)

    def check_owner(self, service: Service) -> None:
        """Refuse a caller who may change only its own services."""
        services.check_owner(service, self.registrant)

    def get_queryset(self) -> Any:
        return Service.objects.with_parts().order_by("name")

    def get_rows(self) -> Any:
        """The registered services, by name unless ordered otherwise."""
        return self.get_queryset()

    def list(self, request: Any) -> Response:
        page = self.paginate_queryset(keys_of(self.filter_queryset(self.get_rows())))
        assert page is not None
        fields = selecting_fields(request.query_params)
        concerns(request, *map(str, page), fields=fields)
        return self.get_paginated_response(render_page(page))

    def find(self) -> Service:
        """One service, by id or name."""
        service = services.get_service(self.kwargs["pk"])
        concerns(self.request, str(service.pk))
        return service

    def find_to_write(self) -> Service:
        """The same, if the caller may change it."""
        service = self.find()
        self.check_owner(service)
        return service

    @extend_schema(request=ServiceInput, responses={200: ServiceSerializer, 201: ServiceSerializer})
    def create(self, request: Any) -> Response:
        """Register a service or an instance: 201 when something is new, 200 for a refresh."""
        registered = services.register_service(
            registration_of(self.read(ServiceInput), grants_users=self.is_granting),
            registrant=self.registrant,
            may_use_credentials=self.may_use_credentials,
        )
        return self.answer(registered.service, 201 if registered.created else 200)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Service:
        """Change what is given and leave the rest; null takes a field away."""
        return services.update_service(
            row,
            registration_of(fields, name=row.name, grants_users=self.is_granting),
            registrant=self.registrant,
            if_unchanged=if_unchanged,
            may_use_credentials=self.may_use_credentials,
        )

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Unregister a service with all its instances."""
        services.unregister_service(
            row, actor=self.actor, if_unchanged=if_unchanged, force=self.is_forced
        )

    @post_action(request=HeartbeatInput, responses=ServiceSerializer)
    def heartbeat(self, request: Any, pk: str) -> Response:
        """Take a sign of life of an instance."""
        beat = HeartbeatInput.heartbeat(self.read(HeartbeatInput))
        return self.answer(services.beat_service(pk, beat, allow=self.check_owner))

    @extend_schema(
        request=StatusInput,
        responses=ServiceSerializer,
        parameters=[OpenApiParameter("status", str, description="Instead of a body.")],
    )
    @action(detail=True, methods=["put"], url_path="status")
    def set_status(self, request: Any, pk: str) -> Response:
        """Set the status. MAINTENANCE stays, until `until` if that is given.

        Any other status yields to the next heartbeat or good answer of a health URL.
        """
        service = self.find_to_write()
        return self.answer(
            services.set_service_status(service, actor=self.actor, **self._read_status(request))
        )

    @extend_schema(
        request=StatusInput,
        responses=ServiceSerializer,
        parameters=[OpenApiParameter("status", str, description="Instead of a body.")],
    )
    @action(detail=True, methods=["put"], url_path=r"instances/(?P<instance_id>[^/]+)/status")
    def set_instance_status(self, request: Any, pk: str, instance_id: str) -> Response:
        """The same for one instance."""
        service = self.find_to_write()
        return self.answer(
            services.set_instance_status(
                service, instance_id, actor=self.actor, **self._read_status(request)
            )
        )

    @staticmethod
    def _read_status(request: Any) -> dict[str, Any]:
        reader = StatusInput(data=request.data or request.query_params.dict())
        reader.is_valid(raise_exception=True)
        return dict(reader.validated_data)

    @post_action(request=AcceptanceInput, responses=ServiceSerializer)
    def accept(self, request: Any, pk: str) -> Response:
        """Let a service that waits, or was refused, be discovered and called."""
        reason = self.read(AcceptanceInput).get("reason", "")
        return self.answer(services.accept_service(self.find(), reason=reason))

    @post_action(request=AcceptanceInput, responses=ServiceSerializer)
    def refuse(self, request: Any, pk: str) -> Response:
        """Refuse a service that waits: it is neither called nor heard until it is accepted."""
        reason = self.read(AcceptanceInput).get("reason", "")
        return self.answer(services.refuse_service(self.find(), reason=reason))

    @extend_schema(parameters=[PROBE_PARAMETER], responses=ServiceHealthAnswer)
    @action(detail=True, methods=["get"])
    def health(self, request: Any, pk: str) -> Response:
        """What is known of the health of a service; `?probe=true` asks it now."""
        return Response(describe_health(self.find(), request))

    @extend_schema(responses=in_list(InstanceSerializer))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=())
    def instances(self, request: Any, pk: str) -> Response:
        """The instances of a service, by URL."""
        return self.answer_page(self.find().instances.order_by("url"), InstanceSerializer)

    @extend_schema(
        request=InstanceInput, responses={201: ServiceSerializer, 200: ServiceSerializer}
    )
    @instances.mapping.post
    def add_instance(self, request: Any, pk: str) -> Response:
        """Add an instance, or refresh the one with this URL."""
        service = self.find_to_write()
        data = self.read(InstanceInput)
        created = services.add_instance(
            service, url=data.pop("url"), fields=data, registrant=self.registrant
        )
        return self.answer(services.get_service(str(service.pk)), 201 if created else 200)

    @action(detail=True, methods=["delete"], url_path=r"instances/(?P<instance_id>[^/]+)")
    def remove_instance(self, request: Any, pk: str, instance_id: str) -> Response:
        """Forget one instance."""
        services.remove_instance(self.find_to_write(), instance_id)
        return Response(status=204)

    @extend_schema(responses=GrantsAnswer, filters=False)
    @action(detail=True, methods=["get"])
    def grants(self, request: Any, pk: str) -> Response:
        """Which actions may use the service's credential, and as what they are called."""
        return Response(show_grants(lines_of_actions(self.find())))

    @extend_schema(request=AllowActionsInput, responses=GrantsAnswer)
    @grants.mapping.post
    def allow(self, request: Any, pk: str) -> Response:
        """Let actions use the service's credential as they are now: all, unless told which."""
        names = self.read(AllowActionsInput).get("actions")
        services.allow_actions(self.find(), actor=self.actor, names=names)
        return Response(show_grants(lines_of_actions(self.find())))

    @post_action(
        request=ExecuteActionInput,
        responses={200: OpenApiResponse(ACTION_OUTPUT, description="The output of the action.")},
        url_path=r"actions/(?P<name>[^/]+)/execute",
    )
    def execute_action(self, request: Any, pk: str, name: str) -> Response:
        """Call an action now and answer its output."""
        service = self.find()
        data = self.read(ExecuteActionInput)

        def begin() -> Future[CallResult]:
            audit.record_use(AuditVerb.CALLED, service, changes={"action": name})
            key = key_of_caller(self.caller.identity, request.headers.get("Idempotency-Key", ""))
            return begin_call(
                CallTarget("service", service.name),
                name,
                data["input_data"],
                headers=call_headers(data["context"], key=key),
                timeout_seconds=data.get("timeout"),
                actor=self.actor,
                behalf=Behalf(self.actor, data["context"]),
            )

        result = result_of(request, "call", begin)
        headers = {"X-Service-Instance": result.instance, **dropped_fields(result.warnings)}
        if result.fail_open:
            headers["X-Fail-Open"] = "true"
        return Response(result.output, headers=headers)
