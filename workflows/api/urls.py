"""Routes of workflows and executions; written without trailing slashes."""

from rest_framework.routers import SimpleRouter

from workflows.api.executions import ExecutionViewSet
from workflows.api.views import WorkflowViewSet

router = SimpleRouter(trailing_slash=False)
router.register("workflows", WorkflowViewSet, basename="workflow")
router.register("executions", ExecutionViewSet, basename="execution")

urlpatterns = router.urls
