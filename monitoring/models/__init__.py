"""The tables of monitoring: checks, incidents, who is told of them, and maintenance."""

from monitoring.models.alert import (
    UNSENT,
    AlertChannel,
    AlertDelivery,
    AlertNotice,
    AlertSilence,
    ChannelType,
    DeliveryReason,
    DeliveryState,
    NoticeState,
)
from monitoring.models.check import (
    CheckErrorKind,
    CheckKind,
    CheckOutcome,
    CheckSignal,
    CheckState,
    CheckStatus,
    HealthCheck,
    HealthCheckResult,
)
from monitoring.models.dependency import DependencyKind, ServiceDependency
from monitoring.models.incident import (
    Impact,
    Incident,
    IncidentStatus,
    IncidentUpdate,
    PageStatus,
    Severity,
    Subject,
    Suppression,
    UpdateKind,
)
from monitoring.models.maintenance import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    OccurrenceState,
    WindowStatus,
)
from monitoring.models.slo import Slo, SloKind, SloMinute
from monitoring.models.status_page import PageVisibility, StatusPage
from monitoring.models.uptime import MemoryState, Period, StatusSpan, UptimeRollup

__all__ = [
    "UNSENT",
    "AlertChannel",
    "AlertDelivery",
    "AlertNotice",
    "AlertSilence",
    "ChannelType",
    "CheckErrorKind",
    "CheckKind",
    "CheckOutcome",
    "CheckSignal",
    "CheckState",
    "CheckStatus",
    "DeliveryReason",
    "DeliveryState",
    "DependencyKind",
    "HealthCheck",
    "HealthCheckResult",
    "Impact",
    "Incident",
    "IncidentStatus",
    "IncidentUpdate",
    "MaintenanceOccurrence",
    "MaintenanceWindow",
    "MemoryState",
    "NoticeState",
    "OccurrenceState",
    "PageStatus",
    "PageVisibility",
    "Period",
    "ServiceDependency",
    "Severity",
    "Slo",
    "SloKind",
    "SloMinute",
    "StatusPage",
    "StatusSpan",
    "Subject",
    "Suppression",
    "UpdateKind",
    "UptimeRollup",
    "WindowStatus",
]
