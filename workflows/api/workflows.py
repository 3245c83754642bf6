"""Workflows: their definitions, and starting them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.pagination import GrowingListPagination
from core.api.preconditions import etag_of
from core.api.viewsets import FORCE, IF_MATCH, ResourceViewSet, asks_for_force
from core.mediator import mediator
from workflows import services
from workflows.api.dry_runs import DryRunAnswer, DryRunInput, run_dry
from workflows.api.execution_responses import answer_start, list_executions, start_of
from workflows.api.executions import IDEMPOTENCY_KEY, STARTED
from workflows.api.filters import EXECUTION_ORDERING, ExecutionFilter, WorkflowFilter
from workflows.api.serializers import (
    ExecuteInput,
    ExecuteRequestInput,
    ExecutionSerializer,
    ValidateInput,
    ValidationAnswer,
    VersionSerializer,
    WorkflowInput,
    WorkflowPatch,
    WorkflowSerializer,
)
from workflows.api.version_diffs import ComparisonAnswer, show_comparison
from workflows.models import Workflow, WorkflowExecution, WorkflowStatus, WorkflowType

# How long the endpoints wait that existing callers expect to answer the result.
REQUEST_WAIT_SECONDS = 30.0
FREE_INPUT = {"application/json": {"type": "object", "additionalProperties": {}}}


class WorkflowViewSet(ResourceViewSet):
    """`/workflows`."""

    queryset = Workflow.objects.select_related("current_version").order_by("name")
    serializer_class = WorkflowSerializer
    filterset_class = WorkflowFilter
    ordering_fields = ("name", "type", "status", "created_at", "updated_at")
    scopes = {
        "list": "workflows:read",
        "retrieve": "workflows:read",
        "versions": "workflows:read",
        "executions": "workflows:read",
        "create": "workflows:write",
        "update": "workflows:write",
        "partial_update": "workflows:write",
        "destroy": "workflows:write",
        "validate": "workflows:read",
        "dry_run": "workflows:read",
        "compare": "workflows:read",
        "activate": "workflows:write",
        "execute": "workflows:execute",
        "execute_request": "workflows:execute",
        "project_planning": "workflows:execute",
        "project_creation": "workflows:execute",
        "agent_task_execution": "workflows:execute",
        "human_interaction": "workflows:execute",
    }
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

    def answer(self, workflow: Workflow, status: int = 200) -> Response:
        headers = {"ETag": etag_of(workflow)}
        return Response(WorkflowSerializer(workflow).data, status=status, headers=headers)

    def list(self, request: Any) -> Response:
        """The workflows, by name unless ordered otherwise."""
        return self.answer_page(self.get_queryset(), WorkflowSerializer)

    @extend_schema(request=WorkflowInput, responses={201: WorkflowSerializer})
    def create(self, request: Any) -> Response:
        """Store a definition; it is ACTIVE unless `status` says DRAFT."""
        data = self.read(WorkflowInput)
        document = WorkflowInput.document_of(data) or {}
        made = services.create_workflow(
            WorkflowInput.fields_of(data),
            document,
            actor=self.actor,
            may_use_credentials=self.caller.may("credentials:use"),
        )
        return self.answer(made, 201)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One workflow, by id or name."""
        return self.answer(services.get_workflow(pk))

    @extend_schema(request=WorkflowPatch, responses=WorkflowSerializer, parameters=[IF_MATCH])
    def update(self, request: Any, pk: str) -> Response:
        """Change what is given, null takes it away; another definition makes a new version."""
        workflow = services.get_workflow(pk)
        if_unchanged = self.check_precondition(workflow)
        data = self.read(WorkflowPatch)
        changed = services.update_workflow(
            workflow,
            WorkflowPatch.fields_of(data),
            WorkflowPatch.changes_of(data),
            actor=self.actor,
            if_unchanged=if_unchanged,
            may_use_credentials=self.caller.may("credentials:use"),
        )
        return self.answer(services.get_workflow(str(changed.pk)))

    @extend_schema(request=WorkflowPatch, responses=WorkflowSerializer, parameters=[IF_MATCH])
    def partial_update(self, request: Any, pk: str) -> Response:
        """Change what is given, null takes it away; another definition makes a new version."""
        return self.update(request, pk)

    @extend_schema(parameters=[IF_MATCH, FORCE])
    def destroy(self, request: Any, pk: str) -> Response:
        """Delete a workflow; executions that ended keep their record."""
        workflow = services.get_workflow(pk)
        if_unchanged = self.check_precondition(workflow)
        services.delete_workflow(workflow, if_unchanged=if_unchanged, force=asks_for_force(request))
        return Response(status=204)

    @extend_schema(request=ValidateInput, responses=ValidationAnswer)
    @action(detail=False, methods=["post"])
    def validate(self, request: Any) -> Response:
        """Check a definition and store nothing."""
        data = self.read(ValidateInput)
        draft = data.get("status") == WorkflowStatus.DRAFT
        found = services.validate_document(WorkflowInput.document_of(data) or {}, draft=draft)
        body = {"valid": found.valid, "errors": found.errors, "warnings": list(found.warnings)}
        return Response(body)

    @extend_schema(request=DryRunInput, responses=DryRunAnswer)
    @action(detail=False, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Any) -> Response:
        """Run a definition in memory, with mocks for calls and people; nothing is stored."""
        return Response(DryRunAnswer(run_dry(self.read(DryRunInput))).data)

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=())
    def versions(self, request: Any, pk: str) -> Response:
        """The versions of a workflow, newest first."""
        workflow = services.get_workflow(pk)
        return self.answer_page(
            workflow.versions.order_by("-number"),
            VersionSerializer,
            current_version_id=workflow.current_version_id,
        )

    @extend_schema(request=None, responses=WorkflowSerializer)
    @action(detail=True, methods=["post"], url_path=r"versions/(?P<number>[0-9]{1,9})/activate")
    def activate(self, request: Any, pk: str, number: str) -> Response:
        """Make a version the one that new executions use."""
        workflow = services.activate_version(services.get_workflow(pk), int(number))
        return self.answer(services.get_workflow(str(workflow.pk)))

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

    @extend_schema(request=ExecuteInput, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    @action(detail=True, methods=["post"])
    def execute(self, request: Any, pk: str) -> Response:
        """Start an execution: 202, or 200 once it ended within `wait` seconds."""
        workflow = services.workflow_to_start(pk)
        data = self.read(ExecuteInput)
        started = services.start_execution(workflow, start_of(request, data))
        return answer_start(request, started, wait=data["wait"])

    @extend_schema(responses=ExecutionSerializer(many=True))
    @action(
        detail=True,
        methods=["get"],
        queryset=WorkflowExecution.objects.all(),
        filterset_class=ExecutionFilter,
        ordering_fields=EXECUTION_ORDERING,
        pagination_class=GrowingListPagination,
    )
    def executions(self, request: Any, pk: str) -> Response:
        """The executions of a workflow, newest first."""
        return list_executions(self, services.get_workflow(pk).executions.all())

    @extend_schema(request=ExecuteRequestInput, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    @action(detail=False, methods=["post"], url_path="execute")
    def execute_request(self, request: Any) -> Response:
        """Start what a type of workflow, or a name, stands for, and wait up to 30 s for its end."""
        data = self.read(ExecuteRequestInput)
        options = data["options"]
        start = start_of(request, data)
        if "workflow" in data:
            started = services.start_execution(services.workflow_to_start(data["workflow"]), start)
        else:
            started = mediator.send(data["workflow_type"], start=start)
        return answer_start(request, started, wait=options.get("wait", REQUEST_WAIT_SECONDS))

    def _of_type(self, request: Any, workflow_type: str) -> Response:
        start = start_of(request, {"input_data": request.data, "context": {}})
        started = mediator.send(workflow_type, start=start)
        return answer_start(request, started, wait=REQUEST_WAIT_SECONDS)

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
