"""The tables of monitoring: incidents."""

from monitoring.models.incident import Incident, IncidentStatus, Severity, Subject

__all__ = ["Incident", "IncidentStatus", "Severity", "Subject"]
