"""The health of one service, as known or as asked for now."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from core.api.fields import VocabularyField
from core.api.suspension import once, result_of
from registry.api.circuits import InstanceCircuitSerializer
from registry.api.service_serializers import InstanceSerializer, ServiceSerializer
from registry.calls.blocking_client import begin_probes
from registry.models import CircuitBreakerState, Service, ServiceInstance, ServiceStatus
from registry.services.probes import describe_probing, health_url_of
from registry.services.uptime import measure_uptime


class ProbeAnswer(serializers.Serializer[Any]):
    """What the health URL of an instance answered."""

    instance_id = serializers.UUIDField()
    url = serializers.CharField()
    healthy = serializers.BooleanField()
    status_code = serializers.IntegerField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)
    error = serializers.CharField(allow_null=True)


class InstanceHealthSerializer(InstanceSerializer):
    """An instance with its circuit, and what its health URL answered last."""

    circuit = InstanceCircuitSerializer()
    probe_streak = serializers.CharField()

    class Meta:
        model = ServiceInstance
        fields = (
            *InstanceSerializer.Meta.fields, "circuit", "probe_failures", "probe_successes",
            "probe_streak", "probe_error", "unhealthy_since",
        )  # fmt: skip


class UptimeSerializer(serializers.Serializer[Any]):
    """The share of the time since `since`, at most a day, in which it was ONLINE or DEGRADED.

    What nobody observed, and UNKNOWN, is no data: `percent` is of the rest, or null without any,
    and `coverage` is how much that is, in percent.
    """

    percent = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField()
    since = serializers.DateTimeField()


class ServiceHealthAnswer(serializers.Serializer[Any]):
    """The health of one service."""

    service_id = serializers.UUIDField()
    service_name = serializers.CharField()
    status = VocabularyField(ServiceStatus)
    healthy = serializers.BooleanField()
    last_heartbeat = serializers.DateTimeField(allow_null=True)
    instances = InstanceHealthSerializer(many=True)
    last_probe = ProbeAnswer(many=True, allow_null=True)
    response_time_ms = serializers.FloatField(allow_null=True)
    uptime = UptimeSerializer()


PROBE_PARAMETER = OpenApiParameter("probe", bool, description="Ask the service now.")
_YES, _NO = ("true", "1", "yes"), ("", "false", "0", "no")


def describe_health(service: Service, request: Any) -> dict[str, Any]:
    """Return status, instances and heartbeats; with `probe=true` what health URLs answer now.

    Raises:
        ValidationError: `probe` is neither true nor false.
        Suspended: they have not answered yet.
    """
    wanted = request.query_params.get("probe", "").lower()
    if wanted not in (*_YES, *_NO):
        raise ValidationError({"probe": ["Use true or false."]})
    probed = _probe(service, request) if wanted in _YES else {}
    last_beat = ServiceSerializer().get_last_heartbeat(service)
    body = {
        "service_id": str(service.pk),
        "service_name": service.name,
        "status": service.status,
        "healthy": service.status in ("ONLINE", "DEGRADED"),
        "last_heartbeat": last_beat,
        "instances": InstanceHealthSerializer(_with_circuits(service), many=True).data,
        "last_probe": None,
        "response_time_ms": None,
        "uptime": UptimeSerializer(measure_uptime(service, now=timezone.now())).data,
    }
    return body | probed


def _with_circuits(service: Service) -> list[ServiceInstance]:
    """Return the instances; one never called has the circuit that it would begin with."""
    instances = list(service.instances.all())
    circuits = CircuitBreakerState.objects.filter(instance__in=instances).in_bulk(
        field_name="instance_id"
    )
    for instance in instances:
        instance.probe_streak = describe_probing(instance, service)  # type: ignore[attr-defined]
        instance.circuit = circuits.get(instance.pk) or CircuitBreakerState(instance=instance)
    return instances


def _probe(service: Service, request: Any) -> dict[str, Any]:
    instances = once(request, "probed", lambda: list(service.instances.all()))
    urls = [health_url_of(instance) for instance in instances]
    probes = result_of(request, "probes", lambda: begin_probes(urls))
    answers = [
        {
            "instance_id": str(instance.pk),
            "url": probe.url,
            "healthy": probe.healthy,
            "status_code": probe.status_code,
            "latency_ms": probe.latency_ms,
            "error": probe.error or None,
        }
        for instance, probe in zip(instances, probes, strict=True)
    ]
    times = [p.latency_ms for p in probes if p.latency_ms is not None]
    return {
        "healthy": any(p.healthy for p in probes),
        "last_probe": answers,
        "response_time_ms": min(times, default=None),
    }
