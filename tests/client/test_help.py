"""`help`, signatures and the README say for every operation what it takes and raises."""

import inspect
import pydoc
import re
from pathlib import Path

import pytest

from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from service_integration_client.help_texts import ARGUMENTS
from tests.client.fake_hub import OPERATIONS

README = (Path(__file__).parent.parent.parent / "client" / "README.md").read_text()
WITHOUT_ERRORS_OF_THEIR_OWN = {"get_integration_health", "get_learned_dependencies"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_in_the_readme_and_names_its_arguments_and_errors(name):
    method = getattr(SyncServiceIntegrationClient, name)
    text, arguments = inspect.getdoc(method), list(inspect.signature(method).parameters)[1:]
    assert f"`{name}`" in README
    assert [
        each for each in arguments if not re.search(rf"`{each}`|^    {each}: .", text, re.M)
    ] == []
    assert "Raises: " in text or name in WITHOUT_ERRORS_OF_THEIR_OWN
    assert "Every call also raises AuthenticationError" in text


def test_arguments_that_are_described_once_are_arguments_of_some_operation():
    arguments = {
        each
        for name in OPERATIONS
        for each in inspect.signature(getattr(SyncServiceIntegrationClient, name)).parameters
    }
    assert sorted(set(ARGUMENTS) - arguments) == []


@pytest.mark.parametrize("kind", [SyncServiceIntegrationClient, AsyncServiceIntegrationClient])
def test_help_shows_methods_with_their_arguments(kind):
    client = kind("http://hub:1/api")
    for method, own in ((kind.get_service_health, ["self"]), (client.get_service_health, [])):
        assert method.__name__ == "get_service_health"
        assert [*inspect.signature(method).parameters] == [*own, "service_id", "probe"]
        assert "the id or name of the service" in inspect.getdoc(method)
    assert client.iter_workflows.__name__ == "iter_workflows"
    assert "get_service_health(self, service_id:" in pydoc.plain(pydoc.render_doc(kind))


def test_operations_keep_their_documentation():
    assert "Register a service" in (ServiceIntegrationClient.register_service.__doc__ or "")


@pytest.mark.parametrize("name", OPERATIONS)
def test_class_itself_shows_the_operations(name):
    assert getattr(ServiceIntegrationClient, name).__name__ == name
