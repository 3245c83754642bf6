"""Actions and integrations may go on using the credentials that they use, and the trail says so.

Going back forgets it with the columns.
"""

from django.db import migrations
from django.utils import timezone

from registry.integrations.grants import sending_of
from registry.policies.credential_grants import call_at

BY = "upgrade"
REASON = "Granted by the upgrade: it was in use before uses of credentials were granted."


def grant(credentials, calls):
    now = timezone.now().isoformat()
    return {"credentials": sorted(credentials), "calls": sorted(calls), "by": BY, "at": now}


def note(apps, kind, row, name, changes):
    apps.get_model("core", "AuditEntry").objects.create(
        actor_kind="ANONYMOUS",
        actor=BY,
        verb="GRANTED",
        object_type=kind,
        object_id=str(row.pk),
        object_name=name,
        reason=REASON,
        changes=changes,
    )


def grant_actions(apps, schema_editor):
    services = apps.get_model("registry", "Service").objects.filter(credential__isnull=False)
    for service in services.prefetch_related("actions", "instances").iterator(chunk_size=200):
        urls = [instance.url for instance in service.instances.all()] or [""]
        granted = {}
        for action in service.actions.all():
            path = action.path or f"/{action.name}"
            calls = {call_at(url, method=action.method, path=path) for url in urls}
            granted[action.name] = sorted(calls)
            action.credential_grant = grant({str(service.credential_id)}, calls)
            action.save(update_fields=["credential_grant"])
        if granted:
            note(apps, "service", service, service.name, {"actions": granted})


def grant_integrations(apps, schema_editor):
    services = apps.get_model("registry", "Service").objects.filter(credential__isnull=False)
    integrations = apps.get_model("registry", "Integration").objects.select_related("connection")
    for row in integrations.iterator(chunk_size=200):
        carriers = []
        if row.connection is not None and row.connection.credential_id is not None:
            carriers = [row.connection]
        elif row.target_kind == "SERVICE":
            named = services.filter(name__iexact=row.target).first()
            carriers = [named] if named is not None else []
        elif row.target_kind == "SERVICE_TYPE":
            typed = services.filter(type=row.target)
            named = typed.filter(actions__name=row.action)
            carriers = list(typed if "/" in row.action else named)
        if not carriers:
            continue
        calls = {f"{sending_of(row)} {carrier.pk} {carrier.credential_id}" for carrier in carriers}
        credentials = {str(carrier.credential_id) for carrier in carriers}
        integrations.filter(pk=row.pk).update(credential_grant=grant(credentials, calls))
        note(apps, "integration", row, row.name, {"carriers": [c.name for c in carriers]})


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0007_grant_verbs"),
        ("registry", "0024_credential_grants"),
    ]

    operations = [
        migrations.RunPython(grant_actions, migrations.RunPython.noop),
        migrations.RunPython(grant_integrations, migrations.RunPython.noop),
    ]
