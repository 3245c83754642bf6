"""The periodic tasks of the hub, which Celery's beat sends to workers."""

from __future__ import annotations

from celery.schedules import schedule

# Name, task, every so many seconds; a message that no worker took is dropped after so many.
_PERIODIC_TASKS = (
    ("sweep-each-second", "integration_site.tasks.sweep_each_second", 1.0, 5),
    ("purge-executions", "workflows.tasks.purge", 60.0, 60),
    ("forget-webhook-deliveries", "workflows.tasks.forget_deliveries", 600.0, 300),
    ("sweep-heartbeats", "monitoring.tasks.sweep_heartbeats", 5.0, 10),
    ("sweep-model-requests", "model_orchestration.tasks.sweep_requests", 5.0, 10),
    ("offer-models", "model_orchestration.tasks.offer_models", 20.0, 20),
    ("count-objectives", "monitoring.tasks.count_objectives", 15.0, 15),
    ("sum-uptime", "monitoring.tasks.sum_uptime", 60.0, 60),
    ("forget-model-requests", "model_orchestration.tasks.forget_requests", 60.0, 60),
    ("call-outside-watcher", "monitoring.tasks.call_outside_watcher", 60.0, 30),
    ("test-connections", "registry.tasks.test_connections", 5.0, 10),
    ("sweep-credentials", "registry.tasks.sweep_credentials", 600.0, 300),
    ("sweep-limits", "registry.tasks.sweep_limits", 3600.0, 600),
    ("forget-integration-history", "registry.tasks.forget_integration_history", 600.0, 300),
    ("forget-credential-history", "registry.tasks.forget_credential_history", 600.0, 300),
    ("forget-audit-entries", "registry.tasks.forget_audit_entries", 600.0, 300),
)

BEAT_SCHEDULE = {
    name: {"task": task, "schedule": schedule(seconds), "options": {"expires": expires}}
    for name, task, seconds, expires in _PERIODIC_TASKS
}
