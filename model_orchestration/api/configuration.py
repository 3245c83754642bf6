"""`/models`: models, their prices, routes and budgets, quotas of providers."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db import transaction
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from core import audit
from core.api.actions import nested_list
from core.api.named_resource import NamedResourceViewSet
from core.api.pagination import PageNumberPagination, read_number
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import represent
from core.api.viewsets import ResourceViewSet
from core.configured_rows import Assign, create_row, delete_row, update_row
from core.db.json_lookups import has_item
from core.exceptions import NotFound, ValidationFailed
from core.models import AuditVerb
from model_orchestration.api.serializers import (
    BudgetInput,
    BudgetPatch,
    BudgetSerializer,
    ContentPolicyInput,
    ContentPolicyPatch,
    ContentPolicySerializer,
    ModelInput,
    ModelPatch,
    ModelSerializer,
    PriceInput,
    PriceSerializer,
    QuotaInput,
    QuotaSerializer,
    RouteInput,
    RoutePatch,
    RouteSerializer,
)
from model_orchestration.catalog import limit_of_budget, limits_of_quota
from model_orchestration.models import (
    BudgetPeriod,
    BudgetScope,
    ContentKept,
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelProvider,
    ModelRoute,
    ModelStatus,
    OnExceed,
    ProviderQuota,
    RequestType,
    RouteStrategy,
)
from model_orchestration.models.budget import warnings
from model_orchestration.services.models import (
    add_price,
    assign_budget,
    assign_for,
    assign_policy,
    assign_route,
    get_model,
)
from model_orchestration.services.usage import standing_of

READ, WRITE = "models:read", "models:write"


class ModelPagination(PageNumberPagination):
    """Pages of models; `page_size` is another name of `per_page`."""

    query_names = frozenset({"page", "per_page", "page_size"})

    def read_page(self, request: Any) -> tuple[int, int]:
        page, per_page = super().read_page(request)
        return page, min(read_number(request.query_params, "page_size", per_page), 200)

    def get_paginated_response(self, data: Any) -> Response:
        response = super().get_paginated_response(data)
        response.data["page_size"] = self.per_page
        return response


class ModelFilter(django_filters.FilterSet):
    """Filters of the list of models."""

    provider = VocabularyFilter(ModelProvider)
    status = VocabularyFilter(ModelStatus)
    capability = VocabularyFilter(RequestType, method="having")
    search = SearchFilter("name__icontains", "display_name__icontains", "description__icontains")

    def having(self, rows: Any, name: str, value: str) -> Any:
        for word in value.split(","):
            rows = rows.filter(has_item("capabilities", RequestType.parse(word).value))
        return rows


class ModelViewSet(NamedResourceViewSet):
    """`/models`."""

    queryset = Model.objects.all()
    serializer_class = ModelSerializer
    input_class = ModelInput
    patch_class = ModelPatch
    filterset_class = ModelFilter
    pagination_class = ModelPagination
    ordering_fields = ("name", "provider", "status", "created_at", "updated_at")
    read_scope, write_scope = READ, WRITE
    scopes = {"prices": READ, "add_price": WRITE}
    takes_force = True

    def get_rows(self) -> Any:
        """The models, by id unless ordered otherwise."""
        return Model.objects.with_parts().order_by("name")

    def find(self) -> Model:
        """One model, by its id."""
        return get_model(self.kwargs["pk"])

    @property
    def _assign(self) -> Assign:
        return assign_for(may_use_credentials=self.may_use_credentials)

    def perform_create(self, fields: dict[str, Any]) -> Model:
        """Register a model of a provider, under the id by which callers ask for it."""
        return create_row(Model(), fields, self._assign)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Model:
        """Change what is given and leave the rest; the provider stays."""
        return update_row(row, fields, self._assign, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a model; what was asked of it stays on record."""
        delete_row(row, if_unchanged=if_unchanged, force=self.is_forced)

    @nested_list(PriceSerializer)
    def prices(self, request: Any, pk: str) -> Response:
        """What the model costs and cost, the latest first."""
        return self.answer_page(
            ModelPrice.objects.filter(model=self.find()).order_by("-valid_from"), PriceSerializer
        )

    @extend_schema(request=PriceInput, responses={201: PriceSerializer})
    @prices.mapping.post
    def add_price(self, request: Any, pk: str) -> Response:
        """Say what the model costs from a time on, in US dollars for a million tokens."""
        row = add_price(self.find(), self.read(PriceInput))
        return Response(represent(PriceSerializer, row), status=201)


class RouteFilter(django_filters.FilterSet):
    """Filters of the list of routes."""

    strategy = VocabularyFilter(RouteStrategy)
    name = NameFilter()
    search = SearchFilter()


class RouteViewSet(NamedResourceViewSet):
    """`/models/routes`."""

    queryset = ModelRoute.objects.all()
    serializer_class = RouteSerializer
    input_class = RouteInput
    patch_class = RoutePatch
    filterset_class = RouteFilter
    ordering_fields = ("name", "created_at", "updated_at")
    read_scope, write_scope = READ, WRITE

    def get_rows(self) -> Any:
        """The routes, by name unless ordered otherwise."""
        return ModelRoute.objects.order_by("name")

    def find(self) -> ModelRoute:
        """One route, by id or name."""
        return ModelRoute.objects.get_named(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> ModelRoute:
        """Make a route: a name that callers ask for, and the models that may serve it."""
        return create_row(ModelRoute(), fields, assign_route)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> ModelRoute:
        """Change what is given and leave the rest; the list of models is replaced as a whole."""
        return update_row(row, fields, assign_route, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a route."""
        delete_row(row, if_unchanged=if_unchanged)


class BudgetFilter(django_filters.FilterSet):
    """Filters of the list of budgets."""

    scope = VocabularyFilter(BudgetScope)
    period = VocabularyFilter(BudgetPeriod)
    on_exceed = VocabularyFilter(OnExceed)
    subject = NameFilter()
    search = SearchFilter("name__icontains", "subject__icontains", "description__icontains")


class BudgetViewSet(NamedResourceViewSet):
    """`/models/budgets`."""

    queryset = ModelBudget.objects.all()
    serializer_class = BudgetSerializer
    input_class = BudgetInput
    patch_class = BudgetPatch
    filterset_class = BudgetFilter
    ordering_fields = ("name", "created_at", "updated_at")
    read_scope, write_scope = READ, WRITE
    scopes = {"standing": READ}

    def get_rows(self) -> Any:
        """The budgets, by name unless ordered otherwise."""
        return ModelBudget.objects.order_by("name")

    def find(self) -> ModelBudget:
        """One budget, by id or name."""
        return ModelBudget.objects.get_named(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> ModelBudget:
        """Bound what a key, a project, a user or a model may use in a period, from now on."""
        return create_row(ModelBudget(), fields, assign_budget)

    def perform_update(
        self, row: Any, fields: dict[str, Any], *, if_unchanged: bool
    ) -> ModelBudget:
        """Change what is given and leave the rest; what was used stays counted."""
        return update_row(row, fields, assign_budget, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Bound it no more."""
        delete_row(row, if_unchanged=if_unchanged)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def standing(self, request: Any, pk: str) -> Response:
        """What is used, reserved and left of a budget now, and when it is back."""
        limit = limit_of_budget(self.find())
        return Response(standing_of([limit], timezone.now())[limit])


class ContentPolicyFilter(django_filters.FilterSet):
    """Filters of the list of content policies."""

    keeps = VocabularyFilter(ContentKept)
    name = NameFilter()
    search = SearchFilter()


class ContentPolicyViewSet(NamedResourceViewSet):
    """`/models/content-policies`."""

    queryset = ContentPolicy.objects.all()
    serializer_class = ContentPolicySerializer
    input_class = ContentPolicyInput
    patch_class = ContentPolicyPatch
    filterset_class = ContentPolicyFilter
    ordering_fields = ("name", "created_at", "updated_at")
    read_scope, write_scope = READ, WRITE

    def get_rows(self) -> Any:
        """The content policies, by the projects that they are for."""
        return ContentPolicy.objects.order_by("name")

    def find(self) -> ContentPolicy:
        """What is kept of what one project says, by the name of the project."""
        return ContentPolicy.objects.get_named(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> ContentPolicy:
        """Say what is kept of the requests of the project of that name, from now on."""
        return create_row(ContentPolicy(), fields, assign_policy)

    def perform_update(
        self, row: Any, fields: dict[str, Any], *, if_unchanged: bool
    ) -> ContentPolicy:
        """Change what is given and leave the rest; what is kept already stays until it expires."""
        return update_row(row, fields, assign_policy, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a policy: the one called `default` holds for its project, or METADATA."""
        delete_row(row, if_unchanged=if_unchanged)


class QuotaViewSet(ResourceViewSet):
    """`/models/quotas`."""

    queryset = ProviderQuota.objects.all()
    serializer_class = QuotaSerializer
    filterset_class = None
    ordering_fields = ()
    scopes = {"list": READ, "retrieve": READ, "set_quota": WRITE, "remove": WRITE}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Any) -> Response:
        """The quotas of providers, with what is used, reserved and left of them."""
        rows = list(ProviderQuota.objects.order_by("provider"))
        return Response({"items": [_with_standing(row) for row in rows], "total": len(rows)})

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Any, pk: str) -> Response:
        """The quota of one provider, with what is used, reserved and left of it."""
        return Response(_with_standing(self._find()))

    @extend_schema(request=QuotaInput, responses=QuotaSerializer)
    def set_quota(self, request: Any, pk: str) -> Response:
        """Set the quota of a provider; what is not given is not limited."""
        provider, fields = self._provider(), self.read(QuotaInput)
        with transaction.atomic():
            found = ProviderQuota.objects.select_for_update().filter(provider=provider).first()
            row = found or ProviderQuota(provider=provider)
            before = audit.snapshot(row)
            for name in map(str, QuotaInput().fields.keys()):
                default = warnings() if name == "warn_at" else _DEFAULTS.get(name)
                setattr(row, name, fields.get(name, default))
            row.clean_fields(exclude=("id",))
            row.save()
            if found is None:
                audit.record(AuditVerb.CREATED, row)
            else:
                audit.record_changes(row, before)
        return Response(represent(QuotaSerializer, row))

    @extend_schema(responses={204: None})
    def remove(self, request: Any, pk: str) -> Response:
        """Bound a provider no more."""
        with transaction.atomic():
            row = self._find()
            audit.record(AuditVerb.DELETED, row)
            row.delete()
        return Response(status=204)

    def _provider(self) -> str:
        try:
            return str(ModelProvider.parse(self.kwargs["pk"]).value)
        except ValueError as error:
            raise ValidationFailed.at("provider", str(error)) from None

    def _find(self) -> ProviderQuota:
        provider = self._provider()
        row = ProviderQuota.objects.filter(provider=provider).first()
        if row is None:
            raise NotFound(f"{provider} has no quota.")
        return row


_DEFAULTS = {"time_zone": "UTC", "on_exceed": OnExceed.REJECT}


def _with_standing(row: ProviderQuota) -> dict[str, Any]:
    limits = list(limits_of_quota(row))
    standings = standing_of(limits, timezone.now())
    periods = {limit.period.lower(): standings[limit] for limit in limits}
    return {**represent(QuotaSerializer, row), "standing": periods}
