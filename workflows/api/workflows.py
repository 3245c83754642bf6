"""Workflows: their definitions, and starting them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.list_items import in_list
from core.api.named_resource import NamedResourceViewSet
from core.mediator import mediator
from registry.api.connections import ReasonInput
from registry.api.grants import GrantsAnswer, show_grants
from workflows import services
from workflows.api.dry_runs import DryRunAnswer, DryRunInput, run_dry
from workflows.api.execution_responses import (
    REQUEST_WAIT_SECONDS,
    answer_start,
    list_executions,
    start_of,
)
from workflows.api.executions import IDEMPOTENCY_KEY, STARTED
from workflows.api.filters import EXECUTION_ORDERING, ExecutionFilter, WorkflowFilter
from workflows.api.serializers import (
    AllowInput,
    ExecuteInput,
    ExecuteRequestInput,
    ExecutionSerializer,
    ValidateInput,
    ValidationAnswer,
    VersionSerializer,
    WithdrawInput,
    WorkflowInput,
    WorkflowPatch,
    WorkflowSerializer,
)
from workflows.api.version_diffs import ComparisonAnswer, show_comparison
from workflows.models import (
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    WorkflowType,
    WorkflowVersion,
)

FREE_INPUT = {"application/json": {"type": "object", "additionalProperties": {}}}


class WorkflowViewSet(NamedResourceViewSet):
    """`/workflows`."""

    queryset = Workflow.objects.select_related("current_version").order_by("name")
    serializer_class = WorkflowSerializer
    input_class = WorkflowInput
    patch_class = WorkflowPatch
    filterset_class = WorkflowFilter
    ordering_fields = ("name", "type", "status", "created_at", "updated_at")
    read_scope = "workflows:read"
    write_scope = "workflows:write"
    scopes = {
        "versions": read_scope,
        "version": read_scope,
        "executions": read_scope,
        "validate": read_scope,
        "dry_run": read_scope,
        "compare": read_scope,
        "activate": write_scope,
        "retire": f"{write_scope}|{services.OPERATE}",
        "reinstate": services.OPERATE,
        "grants": read_scope,
        "allow": "credentials:use",
        "withdraw": "credentials:use",
        "execute": "workflows:execute",
        "execute_request": "workflows:execute",
        "project_planning": "workflows:execute",
        "project_creation": "workflows:execute",
        "agent_task_execution": "workflows:execute",
        "human_interaction": "workflows:execute",
    }
    takes_force = True
    # The executions carry their keys themselves, for as long as they are kept.
    own_keys = frozenset(
        {
            "execute",
            "execute_request",
            "project_planning",
            "project_creation",
            "agent_task_execution",
            "human_interaction",
        }
    )

    def get_rows(self) -> Any:
        """The workflows, by name unless ordered otherwise."""
        return self.get_queryset()

    def find(self) -> Workflow:
        """One workflow, by id or name."""
        return services.get_workflow(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Workflow:
        """Store a definition; it is ACTIVE unless `status` says DRAFT."""
        return services.create_workflow(
            WorkflowInput.fields_of(fields),
            WorkflowInput.document_of(fields) or {},
            actor=self.actor,
            may_use_credentials=self.may_use_credentials,
            may_operate=self.may_operate,
        )

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Workflow:
        """Change what is given, null takes it away; another definition makes a new version."""
        services.update_workflow(
            row,
            WorkflowPatch.fields_of(fields),
            WorkflowPatch.changes_of(fields),
            actor=self.actor,
            if_unchanged=if_unchanged,
            may_use_credentials=self.may_use_credentials,
            may_operate=self.may_operate,
        )
        return services.get_workflow(str(row.pk))

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a workflow; executions that ended keep their record."""
        services.delete_workflow(row, if_unchanged=if_unchanged, force=self.is_forced)

    @post_action(request=ValidateInput, responses=ValidationAnswer, detail=False)
    def validate(self, request: Any) -> Response:
        """Check a definition and store nothing."""
        data = self.read(ValidateInput)
        draft = data.get("status") == WorkflowStatus.DRAFT
        found = services.validate_document(WorkflowInput.document_of(data) or {}, draft=draft)
        body = {"valid": found.valid, "errors": found.errors, "warnings": list(found.warnings)}
        return Response(body)

    @post_action(request=DryRunInput, responses=DryRunAnswer, detail=False, url_path="dry-run")
    def dry_run(self, request: Any) -> Response:
        """Run a definition in memory, with mocks for calls and people; nothing is stored."""
        return Response(DryRunAnswer(run_dry(self.read(DryRunInput))).data)

    @extend_schema(responses=in_list(VersionSerializer))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=())
    def versions(self, request: Any, pk: str) -> Response:
        """The versions of a workflow, newest first."""
        workflow = services.get_workflow(pk)
        return self.answer_page(
            workflow.versions.order_by("-number"),
            VersionSerializer,
            current_version_id=workflow.current_version_id,
        )

    @extend_schema(responses=VersionSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path=r"versions/(?P<number>[0-9]{1,9})")
    def version(self, request: Any, pk: str, number: str) -> Response:
        """One version of a workflow, by its number."""
        return self._version(services.get_version(services.get_workflow(pk), int(number)))

    @post_action(responses=WorkflowSerializer, url_path=r"versions/(?P<number>[0-9]{1,9})/activate")
    def activate(self, request: Any, pk: str, number: str) -> Response:
        """Make a version the one that new executions use."""
        workflow = services.activate_version(
            services.get_workflow(pk),
            int(number),
            actor=self.actor,
            may_use_credentials=self.may_use_credentials,
        )
        return self.answer(services.get_workflow(str(workflow.pk)))

    @post_action(
        request=ReasonInput,
        responses=VersionSerializer,
        url_path=r"versions/(?P<number>[0-9]{1,9})/retire",
    )
    def retire(self, request: Any, pk: str, number: str) -> Response:
        """Let nobody start a version any more; executions that began go on."""
        version = services.get_version(services.get_workflow(pk), int(number))
        reason = self.read(ReasonInput)["reason"]
        return self._version(services.retire_version(version, reason, actor=self.actor))

    @post_action(
        request=ReasonInput,
        responses=VersionSerializer,
        url_path=r"versions/(?P<number>[0-9]{1,9})/reinstate",
    )
    def reinstate(self, request: Any, pk: str, number: str) -> Response:
        """Let a retired version be started again."""
        version = services.get_version(services.get_workflow(pk), int(number))
        reason = self.read(ReasonInput)["reason"]
        return self._version(services.reinstate_version(version, reason))

    def _version(self, version: WorkflowVersion) -> Response:
        shown = {"current_version_id": version.workflow.current_version_id}
        return Response(VersionSerializer(version, context=shown).data)

    @extend_schema(responses=GrantsAnswer, filters=False)
    @action(detail=True, methods=["get"], url_path=r"versions/(?P<number>[0-9]{1,9})/grants")
    def grants(self, request: Any, pk: str, number: str) -> Response:
        """The credentials that a version reaches, and which of its calls may use them."""
        return self._show_grants(pk, number)

    @extend_schema(request=AllowInput, responses=GrantsAnswer)
    @grants.mapping.post
    def allow(self, request: Any, pk: str, number: str) -> Response:
        """Let calls of a version use the credentials that they reach: all, unless told which."""
        version = services.get_version(services.get_workflow(pk), int(number))
        steps = self.read(AllowInput).get("steps")
        services.allow_version(version, actor=self.actor, steps=steps)
        return self._show_grants(pk, number)

    @post_action(
        request=WithdrawInput,
        responses=GrantsAnswer,
        url_path=r"versions/(?P<number>[0-9]{1,9})/grants/withdraw",
    )
    def withdraw(self, request: Any, pk: str, number: str) -> Response:
        """Take back what a version was granted; executions of it too are refused from now on."""
        version = services.get_version(services.get_workflow(pk), int(number))
        reason = self.read(WithdrawInput).get("reason", "")
        services.withdraw_version(version, actor=self.actor, reason=reason)
        return self._show_grants(pk, number)

    @staticmethod
    def _show_grants(pk: str, number: str) -> Response:
        version = services.get_version(services.get_workflow(pk), int(number))
        return Response(show_grants(services.lines_of_version(version)))

    @extend_schema(responses=ComparisonAnswer, filters=False)
    @action(
        detail=True,
        methods=["get"],
        url_path=r"versions/(?P<first>[0-9]{1,9})/compare/(?P<second>[0-9]{1,9})",
    )
    def compare(self, request: Any, pk: str, first: str, second: str) -> Response:
        """How the second version differs from the first: steps, keys and options."""
        workflow = services.get_workflow(pk)
        found = services.compare_versions(workflow, int(first), int(second))
        return Response(show_comparison(found))

    @post_action(request=ExecuteInput, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def execute(self, request: Any, pk: str) -> Response:
        """Start an execution: 202, or 200 once it ended within `wait` seconds."""

        def begin() -> tuple[services.Started, float]:
            workflow = services.workflow_to_start(pk)
            data = self.read(ExecuteInput)
            return services.start_execution(workflow, start_of(request, data)), data["wait"]

        return answer_start(request, begin)

    @nested_list(
        ExecutionSerializer,
        queryset=WorkflowExecution.objects.all(),
        filterset_class=ExecutionFilter,
        ordering_fields=EXECUTION_ORDERING,
    )
    def executions(self, request: Any, pk: str) -> Response:
        """The executions of a workflow, newest first."""
        return list_executions(self, services.get_workflow(pk).executions.all())

    @post_action(
        request=ExecuteRequestInput,
        responses=STARTED,
        parameters=[IDEMPOTENCY_KEY],
        detail=False,
        url_path="execute",
    )
    def execute_request(self, request: Any) -> Response:
        """Start what a type of workflow, or a name, stands for, and wait up to 30 s for its end."""

        def begin() -> tuple[services.Started, float]:
            data = self.read(ExecuteRequestInput)
            wait, start = data["options"].get("wait", REQUEST_WAIT_SECONDS), start_of(request, data)
            if "workflow" not in data:
                return _start_by_type(data["workflow_type"], start), wait
            workflow = services.workflow_to_start(data["workflow"])
            return services.start_execution(workflow, start), wait

        return answer_start(request, begin)

    def _of_type(self, request: Any, workflow_type: str) -> Response:
        def begin() -> tuple[services.Started, float]:
            start = start_of(request, {"input_data": request.data, "context": {}})
            return _start_by_type(workflow_type, start), REQUEST_WAIT_SECONDS

        return answer_start(request, begin)

    @extend_schema(request=FREE_INPUT, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def project_planning(self, request: Any, pk: str) -> Response:
        """Plan a project; the body is the input."""
        return self._of_type(request, WorkflowType.PROJECT_PLANNING)

    @extend_schema(request=FREE_INPUT, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def project_creation(self, request: Any, pk: str) -> Response:
        """Create a project; the body is the input."""
        return self._of_type(request, WorkflowType.PROJECT_CREATION)

    @extend_schema(request=FREE_INPUT, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def agent_task_execution(self, request: Any, pk: str) -> Response:
        """Execute an agent's task; the body is the input."""
        return self._of_type(request, WorkflowType.AGENT_TASK_EXECUTION)

    @extend_schema(request=FREE_INPUT, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def human_interaction(self, request: Any, pk: str) -> Response:
        """Ask a person; the body is the input."""
        return self._of_type(request, WorkflowType.HUMAN_INTERACTION)


def _start_by_type(workflow_type: str, start: services.Start) -> services.Started:
    (answer,) = mediator.send(workflow_type, starts=[start])
    return services.accepted(answer)
