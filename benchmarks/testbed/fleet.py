"""Puts many services into the database of a hub, by the database itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

OFFLINE_EACH = 10


def fill_services(
    names: Sequence[str], *, types: Sequence[str] = ("CUSTOM",), some_offline: bool = False
) -> None:
    """Insert services of these types in turn, each with one instance that lives for an hour.

    They stand in the log of changes. Every tenth is OFFLINE where that is asked for.
    """
    from django.db import transaction
    from django.utils import timezone

    from registry.models import (
        RegistryChange,
        RegistryChangeKind,
        Service,
        ServiceAction,
        ServiceInstance,
    )

    now = timezone.now()
    with transaction.atomic():
        services = Service.objects.bulk_create(
            Service(
                name=name,
                type=types[n % len(types)],
                version="1.4.2",
                tags=["text", f"shard-{n % 7}"],
                metadata={"team": f"team-{n % 11}", "repository": f"https://git.example/{name}"},
                status="OFFLINE" if some_offline and n % OFFLINE_EACH == 0 else "ONLINE",
            )
            for n, name in enumerate(names)
        )
        ServiceInstance.objects.bulk_create(
            ServiceInstance(
                service=service,
                url=f"http://10.0.{n // 250}.{n % 250 + 1}:9000",
                status=service.status,
                last_heartbeat_at=now,
                expires_at=now + timedelta(hours=1),
            )
            for n, service in enumerate(services)
        )
        ServiceAction.objects.bulk_create(ServiceAction(service=s, name="act") for s in services)
        RegistryChange.objects.bulk_create(
            RegistryChange(
                service_id=service.pk,
                service_name=service.name,
                kind=RegistryChangeKind.REGISTERED,
                status=service.status,
            )
            for service in services
        )


def remove_services(names: Sequence[str]) -> None:
    """Delete services and their parts."""
    from registry.models import Service

    Service.objects.filter(name__in=names).delete()
