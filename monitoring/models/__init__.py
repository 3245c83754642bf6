"""The tables of monitoring: incidents, and who is told of them."""

from monitoring.models.alert import (
    UNSENT,
    AlertChannel,
    AlertDelivery,
    AlertNotice,
    ChannelType,
    DeliveryReason,
    DeliveryState,
    NoticeState,
)
from monitoring.models.incident import Incident, IncidentStatus, Severity, Subject

__all__ = [
    "UNSENT",
    "AlertChannel",
    "AlertDelivery",
    "AlertNotice",
    "ChannelType",
    "DeliveryReason",
    "DeliveryState",
    "Incident",
    "IncidentStatus",
    "NoticeState",
    "Severity",
    "Subject",
]
