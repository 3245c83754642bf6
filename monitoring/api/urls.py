"""Routes of incidents and alerts; written without trailing slashes."""

from rest_framework.routers import SimpleRouter

from monitoring.api.alerts import AlertDeliveryViewSet, ChannelViewSet
from monitoring.api.checks import HealthCheckViewSet, PreviewViewSet
from monitoring.api.dependencies import DependencyViewSet
from monitoring.api.escalations import EscalationViewSet
from monitoring.api.incidents import IncidentViewSet
from monitoring.api.maintenance import MaintenanceViewSet
from monitoring.api.silences import SilenceViewSet
from monitoring.api.slos import SloViewSet
from monitoring.api.status_pages import StatusPageViewSet
from monitoring.api.uptime import ServiceUptimeViewSet

router = SimpleRouter(trailing_slash=False)
router.register("monitoring/incidents", IncidentViewSet, basename="incident")
# By the name that it had before.
router.register("health/incidents", IncidentViewSet, basename="health-incident")
router.register("monitoring/maintenance", MaintenanceViewSet, basename="maintenance")
router.register("monitoring/channels", ChannelViewSet, basename="alert-channel")
router.register("monitoring/silences", SilenceViewSet, basename="silence")
router.register("monitoring/escalations", EscalationViewSet, basename="escalation-policy")
router.register("monitoring/deliveries", AlertDeliveryViewSet, basename="alert-delivery")
router.register("monitoring/checks", HealthCheckViewSet, basename="health-check")
router.register("monitoring/preview", PreviewViewSet, basename="check-preview")
router.register("monitoring/services", ServiceUptimeViewSet, basename="service-uptime")
router.register("monitoring/status-pages", StatusPageViewSet, basename="status-page")
router.register("monitoring/dependencies", DependencyViewSet, basename="dependency")
router.register("monitoring/slos", SloViewSet, basename="slo")

urlpatterns = router.urls
