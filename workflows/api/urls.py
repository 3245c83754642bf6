"""Routes of workflows and executions; written without trailing slashes."""

from django.urls import path
from rest_framework.routers import Route, SimpleRouter

from workflows.api.bulk import BulkOperationViewSet
from workflows.api.execution_responses import REQUEST_TYPES
from workflows.api.executions import ExecutionViewSet
from workflows.api.schedules import ScheduleViewSet
from workflows.api.webhooks import WebhookViewSet
from workflows.api.workflows import WorkflowViewSet


class DoorRouter(SimpleRouter):
    """A router of things that are themselves posted to."""

    routes = [
        route._replace(mapping={**route.mapping, "post": "receive"})
        if isinstance(route, Route) and route.name == "{basename}-detail"
        else route
        for route in SimpleRouter.routes
    ]


router = SimpleRouter(trailing_slash=False)
router.register("workflows", WorkflowViewSet, basename="workflow")
# Before the executions, of which none has this id.
router.register("executions/bulk", BulkOperationViewSet, basename="bulk")
router.register("executions", ExecutionViewSet, basename="execution")
router.register("schedules", ScheduleViewSet, basename="schedule")

doors = DoorRouter(trailing_slash=False)
doors.register("webhooks", WebhookViewSet, basename="webhook")

# A POST runs what stands for the type; all else is for the workflow that has this name.
_ON_WORKFLOW = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    *(
        path(
            f"workflows/{name}",
            WorkflowViewSet.as_view(
                {**_ON_WORKFLOW, "post": name.replace("-", "_")}, described_methods=("POST",)
            ),
            kwargs={"pk": name},
        )
        for name in REQUEST_TYPES
    ),
    *router.urls,
    *doors.urls,
]
