"""Generated requests to the API, and what every answer to them has to keep to."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from core.roles import SCOPES
from registry.integrations.lifecycle import create_integration
from tests import factories
from tests.support.credentials import make_credential
from tests.support.hypothesis_settings import in_proportion
from workflows.services import create_schedule, create_webhook

# Answers that say that another system does not answer; nothing else may be above 499.
OUTSIDE = (502, 503, 504)

BOUNDED = settings(
    max_examples=in_proportion(6),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def load_schema() -> Any:
    """The API's own description, without what is there twice."""
    config = SchemathesisConfig()
    application = get_wsgi_application()
    loaded = schemathesis.openapi.from_wsgi("/schema?format=json", application, config=config)
    return loaded.exclude(path_regex="^/services")


def make_world() -> dict[str, str]:
    """One of everything, so that generated requests meet something."""
    service = factories.make_service(
        "known", urls=("http://127.0.0.1:9",), metadata={"a": 1}, tags=["a"]
    )
    make_credential("API_KEY", name="known")
    workflow = factories.make_workflow("known")
    execution = factories.make_execution(workflow)
    create_schedule({"name": "known", "workflow": workflow, "cron": "0 9 * * *"})
    make_credential("HMAC_SIGNATURE", name="signing")
    create_webhook({"name": "known", "workflow": workflow, "credential": "signing"})
    target = {"service_type": "CUSTOM", "action": "a"}
    create_integration({"name": "known", "target": target})
    _, key = factories.make_key(scopes=sorted(SCOPES))
    return {
        "key": key,
        "service": str(service.pk),
        "workflow": str(workflow.pk),
        "execution": str(execution.pk),
    }


def assert_answered(answer: Any, about: Any) -> None:
    assert answer.status_code < 500 or answer.status_code in OUTSIDE, (about, answer.content)
    body = json.loads(answer.content) if answer.status_code >= 400 else {}
    if isinstance(body.get("error"), dict):  # as the clients of models look for it
        assert body["error"]["message"], about
        assert body["error"]["type"], about
        assert body["error"].get("code") != "internal_error", about
    elif body and "checks" not in body:  # what is missing for readiness is no problem document
        assert body["message"] == body["detail"], about
        assert body["status"] == answer.status_code, about
        assert body["code"] != "internal_error", about


def send_case(case: Any, world: dict[str, str]) -> None:
    """Send a generated request, about something that exists, and look at its answer."""
    resource = case.path.strip("/").split("/")[0]
    if "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = world["execution"] if resource == "executions" else "known"
    headers = {"Authorization": f"Bearer {world['key']}"}
    answer, about = case.call(headers=headers), (case.method, case.path, case.query, case.body)
    assert_answered(answer, about)
    # So the last net answers everything where the database is lost.
    assert b"cannot be stored" not in answer.content, about
