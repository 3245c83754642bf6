"""The Kubernetes manifests are valid, and say of the hub what the rest of the project says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.urls import resolve

from integration_site.configuration.reading import read
from integration_site.configuration.variables import VARIABLES
from tests.support.image import compose_services, instructions

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
RELEASES = ("1.30", "1.37")
SECRETS = {"SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "p", "CREDENTIAL_KEYS": "a:" + "A" * 43}
SERVERS = {"POSTGRES_HOST", "REDIS_HOST", "ALLOWED_HOSTS"}


def documents() -> list[dict[str, Any]]:
    texts = [(FOLDER / name).read_text() for name in KUSTOMIZATION["resources"]]
    return [document for text in texts for document in yaml.safe_load_all(text)]


RESOURCES = {f"{each['kind']} {each['metadata']['name']}": each for each in documents()}
PODS = {
    name: each["spec"]["template"]["spec"]
    for name, each in RESOURCES.items()
    if each["kind"] in ("Deployment", "Job")
}
each_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def properties() -> dict[str, str]:
    lines = (FOLDER / "hub.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@each_resource
@pytest.mark.parametrize("release", RELEASES)
def test_manifest_is_valid(resource: dict[str, Any], release: str) -> None:
    kubernetes_validate.validate(resource, release, strict=True)


def test_validator_finds_a_field_that_is_misspelt() -> None:
    wrong = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"prots": []},
    }
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


def test_kustomization_names_every_file() -> None:
    named = {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["envs"]}
    assert named | {"kustomization.yaml"} == {path.name for path in FOLDER.iterdir()}


def test_every_process_of_the_hub_is_there_with_its_command() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    processes = dict(line.replace("exec ", "").split(": ", 1) for line in lines)
    own = yaml.safe_load(dict(instructions((ROOT / "Dockerfile").read_text()))["CMD"])
    for name, command in processes.items():
        (container,) = PODS[f"Deployment {name}"]["containers"]
        assert " ".join(container.get("command", own)) == command
    compose = compose_services((ROOT / "compose.yaml").read_text(), SECRETS)
    (migrating,) = PODS["Job migrate"]["containers"]
    assert " ".join(migrating["command"]) == compose["bootstrap"]["command"]


def test_settings_are_good_for_production(tmp_path: Path) -> None:
    given = properties()
    assert set(given) <= set(VARIABLES)
    values = read({**given, **SECRETS, "DATA_DIR": str(tmp_path)})
    assert values["ENVIRONMENT"] == "production"
    assert values["TRUSTED_PROXIES"], "or the redirect to HTTPS never ends behind an Ingress"


@each_pod
def test_pod_takes_its_settings_from_there_and_from_the_secret(pod: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False
    sources = [{"configMapRef": {"name": "hub"}}, {"secretRef": {"name": "hub"}}]
    assert KUSTOMIZATION["configMapGenerator"][0]["name"] == "hub"
    for container in containers(pod):
        assert container["envFrom"] == sources
        assert container["image"] == KUSTOMIZATION["images"][0]["name"]


@each_pod
def test_pod_runs_as_the_user_of_the_image_and_writes_where_it_may(pod: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    (number,) = re.findall(r"--uid (\d+)", dockerfile)
    assert pod["securityContext"]["runAsUser"] == int(number)
    (data,) = re.findall(r"DATA_DIR=(\S+)", dockerfile)
    for container in containers(pod):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {data, "/tmp"}


def test_probes_ask_what_the_hub_answers_at_the_port_where_it_listens() -> None:
    (web,) = PODS["Deployment web"]["containers"]
    (port,) = web["ports"]
    assert (
        str(port["containerPort"])
        == dict(re.findall(r"(\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))["SERVICE_PORT"]
    )
    wanted = {"startupProbe": "alive", "livenessProbe": "alive", "readinessProbe": "ready"}
    for name, what in wanted.items():
        probe = web[name]["httpGet"]
        assert probe == {"path": f"/health/{what}", "port": port["name"]}
        assert resolve(probe["path"])
    (service,) = RESOURCES["Service web"]["spec"]["ports"]
    assert service["targetPort"] == port["name"]


@each_resource
def test_selectors_find_their_pods(resource: dict[str, Any]) -> None:
    selector = resource["spec"].get("selector", {})
    wanted = selector.get("matchLabels", selector)
    found = [
        each for each in documents()
        if each["kind"] == "Deployment"
        and wanted.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]  # fmt: skip
    assert len(found) == (1 if wanted else 3)
