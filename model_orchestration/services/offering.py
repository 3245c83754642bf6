"""Keeps the hub registered as a service of models, as long as there are models."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from model_orchestration.calls.own_service import SERVICE_ID
from model_orchestration.models import Model
from model_orchestration.service_actions import OFFERS, SERVICE_NAME
from registry.models import Service, ServiceType
from registry.models.service import ServiceStatus
from registry.policies.liveness import Liveness
from registry.policies.registering import Registrant
from registry.services import Registration, register_service, unregister_service

logger = structlog.get_logger(__name__)

OWNER = "service-integration"
DESCRIPTION = "The models of this hub. Called by workflows without a network; by others at its URL."


def offer_models() -> None:
    """Register the hub as a service of models, or say that it is still there.

    It has no weight, so that another service of its type goes before it where it is as well.
    Without models it is no such service.
    """
    is_there = Service.objects.filter(pk=SERVICE_ID).first()
    if not Model.objects.exists():
        if is_there is not None:
            unregister_service(is_there, actor=OWNER, force=True)
        return
    if is_there is None and not _create():
        return
    name = is_there.name if is_there is not None else SERVICE_NAME
    registration = Registration(
        name=name,
        url=f"{settings.PUBLIC_URL or settings.LOCAL_URL}/api",
        instance_fields={"weight": 0},
        actions=[offer.as_registered() for offer in OFFERS],
    )
    register_service(registration, registrant=Registrant(name=OWNER))


def _create() -> bool:
    """Return whether the service could be made: its name may be that of another."""
    try:
        with transaction.atomic():
            Service.objects.create(
                id=SERVICE_ID,
                name=SERVICE_NAME,
                type=ServiceType.MODEL_ORCHESTRATION,
                description=DESCRIPTION,
                owner=OWNER,
                status=ServiceStatus.OFFLINE,
                liveness=Liveness.HEARTBEAT,
            )
    except IntegrityError:
        logger.warning("models_not_offered", reason=f"another service is called {SERVICE_NAME}")
        return False
    return True
