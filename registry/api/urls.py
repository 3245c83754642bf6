"""Routes of the registry and of discovery; written without trailing slashes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from core.api.api_keys import KeyViewSet
from core.api.audit import AuditViewSet
from core.api.legacy_calls import LegacyCallViewSet
from registry.api import discovery
from registry.api.circuits import CircuitViewSet
from registry.api.connections import ConnectionViewSet
from registry.api.credentials import CredentialViewSet
from registry.api.integrations import IntegrationViewSet
from registry.api.services import ServiceViewSet

router = SimpleRouter(trailing_slash=False)
router.register("registry/services", ServiceViewSet, basename="registry-service")
router.register("registry/credentials", CredentialViewSet, basename="credential")
router.register("registry/integrations", IntegrationViewSet, basename="registry-integration")
router.register("registry/connections", ConnectionViewSet, basename="connection")
router.register("health/circuit-breakers", CircuitViewSet, basename="circuit-breaker")
router.register("health/legacy-calls", LegacyCallViewSet, basename="legacy-call")
router.register("keys", KeyViewSet, basename="key")
router.register("audit", AuditViewSet, basename="audit")

short = SimpleRouter(trailing_slash=False)
short.register("services", ServiceViewSet, basename="service")
short.register("integrations", IntegrationViewSet, basename="integration")

urlpatterns = [
    path("discovery/services", discovery.DiscoveredServicesView.as_view()),
    path("discovery/services/search", discovery.SearchView.as_view()),
    path("discovery/services/type/<str:service_type>", discovery.ServiceOfTypeView.as_view()),
    path("discovery/health/<str:pk>", discovery.ServiceHealthView.as_view()),
    path("discovery/watch", discovery.WatchView.as_view()),
    *router.urls,
    *short.urls,
]
