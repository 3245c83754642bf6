"""Routes of incidents; written without trailing slashes."""

from rest_framework.routers import SimpleRouter

from monitoring.api.incidents import IncidentViewSet

router = SimpleRouter(trailing_slash=False)
router.register("health/incidents", IncidentViewSet, basename="incident")

urlpatterns = router.urls
