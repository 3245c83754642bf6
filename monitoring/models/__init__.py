"""What went wrong, and who saw to it."""

from monitoring.models.incident import Incident, IncidentStatus, Severity, Subject

__all__ = ["Incident", "IncidentStatus", "Severity", "Subject"]
