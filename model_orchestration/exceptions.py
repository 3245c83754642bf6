"""Errors of requests to models."""

from __future__ import annotations

from core.exceptions import IntegrationError


class ModelError(IntegrationError):
    """A request to a model that was not answered.

    Details may carry `retry_after` in seconds, `model` and `provider`.
    """

    code = "model_error"

    @property
    def retry_after(self) -> float | None:
        return self.details.get("retry_after")


class InvalidModelRequest(ModelError):
    """The request is not one that can be sent; `param` names the field."""

    code = "invalid_request"
    status_code = 400
    permanent = True

    @classmethod
    def at(cls, param: str, sentence: str) -> InvalidModelRequest:
        return cls(f"{param}: {sentence}", param=param, errors={param: [sentence]})


class ModelNotFound(ModelError):
    """No model, alias or route of that name can be asked for."""

    code = "model_not_found"
    status_code = 404
    permanent = True


class ModelInactive(ModelError):
    """The model is not served."""

    code = "model_inactive"
    status_code = 409
    permanent = True


class PriceMissing(ModelError):
    """A budget bounds the cost of a request, and nobody said what the model costs."""

    code = "price_missing"
    status_code = 409
    permanent = True


class BudgetExceeded(ModelError):
    """A budget does not leave room for the most that the request can use; nothing was sent."""

    code = "insufficient_quota"
    status_code = 429


class RateExceeded(BudgetExceeded):
    """A model is sent no more requests or tokens in this minute."""

    code = "rate_limit_exceeded"


class ContextTooLong(ModelError):
    """The input is longer than the model takes."""

    code = "token_limit_exceeded"
    status_code = 400
    permanent = True


class ContentFiltered(ModelError):
    """The provider's content filter refused the request."""

    code = "content_filtered"
    status_code = 400
    permanent = True


class ProviderCredentialRefused(ModelError):
    """The provider does not take the credential of its connection."""

    code = "provider_credential"
    status_code = 502
    permanent = True


class ModelUnavailable(ModelError):
    """The provider does not have the model that is registered."""

    code = "model_unavailable"
    status_code = 502
    permanent = True


class ProviderQuotaExceeded(ModelError):
    """The account at the provider is used up."""

    code = "provider_quota"
    status_code = 503


class ProviderRateLimited(ModelError):
    """The provider takes no more requests for now."""

    code = "rate_limit_exceeded"
    status_code = 429


class ModelTimeout(ModelError):
    """The model did not answer in time."""

    code = "request_timeout"
    status_code = 504


class ProviderUnavailable(ModelError):
    """The provider does not work, or is not called as it failed too often."""

    code = "provider_not_available"
    status_code = 503


class AnswerUnfit(ModelError):
    """A model answered, and not in the form that it was asked for."""

    code = "answer_unfit"
    status_code = 502


class StreamCut(ModelError):
    """The answer broke off after it had begun."""

    code = "stream_cut"
    status_code = 502
