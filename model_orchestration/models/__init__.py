"""The tables of model orchestration."""

from model_orchestration.models.budget import (
    BudgetPeriod,
    BudgetScope,
    ModelBudget,
    OnExceed,
    ProviderQuota,
    QuotaWindow,
)
from model_orchestration.models.content import ContentKept, ContentPolicy, RequestContent
from model_orchestration.models.model import Model, ModelProvider, ModelStatus, RequestType
from model_orchestration.models.performance import (
    ModelFeedback,
    ModelPerformance,
    ModelPerformanceHistory,
    PerformancePeriod,
)
from model_orchestration.models.price import ModelPrice
from model_orchestration.models.prompt import Prompt, PromptVersion
from model_orchestration.models.request import (
    OPEN_STATES,
    Request,
    RequestState,
    UsageSource,
)
from model_orchestration.models.route import ModelRoute, RouteStrategy

__all__ = [
    "OPEN_STATES", "BudgetPeriod", "BudgetScope", "ContentKept", "ContentPolicy", "Model",
    "ModelBudget", "ModelFeedback", "ModelPerformance", "ModelPerformanceHistory", "ModelPrice",
    "ModelProvider", "ModelRoute", "ModelStatus", "OnExceed", "PerformancePeriod", "Prompt",
    "PromptVersion", "ProviderQuota", "QuotaWindow", "Request", "RequestContent", "RequestState",
    "RequestType", "RouteStrategy", "UsageSource",
]  # fmt: skip
