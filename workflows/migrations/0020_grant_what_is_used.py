"""Versions may go on using the credentials that they reach, and the trail says so.

Going back forgets it with the table.
"""

from django.db import migrations

BY = "upgrade"
REASON = "Granted by the upgrade: it was in use before uses of credentials were granted."
KINDS = ("service", "service_type", "connection", "integration")


def callers(steps):
    """Give every call of a list of steps: its step, whether it compensates, and what it says."""
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, dict):
            continue
        yield str(step.get("id")), False, step
        if isinstance(step.get("compensate"), dict):
            yield str(step.get("id")), True, step["compensate"]
        yield from callers(step.get("steps"))
        branches = step.get("branches")
        for branch in branches if isinstance(branches, list) else ():
            yield from callers(branch)


class Carriers:
    """What has a credential: the row that a call names, with the credentials that it leads to."""

    def __init__(self, apps):
        self.services = apps.get_model("registry", "Service").objects
        self.connections = apps.get_model("registry", "Connection").objects
        self.integrations = apps.get_model("registry", "Integration").objects
        self.known = {}

    def reached(self, kind, name, key, action):
        asked = (kind, name.strip().lower(), key, action if kind == "service_type" else "")
        if asked not in self.known:
            self.known[asked] = list(self._find(kind, name.strip(), key, action))
        return self.known[asked]

    def _find(self, kind, name, key, action):
        if kind == "service_type":
            rows = self.services.filter(type=name.upper(), credential__isnull=False)
            for row in rows if "/" in action else rows.filter(actions__name=action):
                yield row.pk, row.credential_id
            return
        rows = {
            "service": self.services, "connection": self.connections,
            "integration": self.integrations,
        }[kind]  # fmt: skip
        row = (rows.filter(pk=key).first() if key else None) or rows.filter(
            name__iexact=name
        ).first()
        if row is None:
            return
        if kind != "integration":
            credentials = [row.credential_id]
        elif row.target_kind == "CONNECTION":
            credentials = self.connections.filter(pk=row.connection_id).values_list(
                "credential_id", flat=True
            )
        else:
            by = {"type": row.target}
            if row.target_kind == "SERVICE":
                by = {"name__iexact": row.target}
            elif "/" not in row.action:
                by["actions__name"] = row.action
            credentials = self.services.filter(**by).values_list("credential_id", flat=True)
        for credential in set(credentials) - {None}:
            yield row.pk, credential


def grant_versions(apps, schema_editor):
    carriers = Carriers(apps)
    grants = apps.get_model("workflows", "CredentialGrant").objects
    model = grants.model
    noted = {}
    versions = apps.get_model("workflows", "WorkflowVersion").objects.select_related("workflow")
    for version in versions.order_by("workflow", "number").iterator(chunk_size=200):
        rows = {}
        for step, compensates, said in callers(version.steps):
            for kind in KINDS:
                name = said.get(kind)
                if not isinstance(name, str) or not name.strip():
                    continue
                key = (version.bindings.get(kind) or {}).get(name.strip().lower(), "")
                action = said.get("action")
                action = action if isinstance(action, str) else ""
                for target, credential in carriers.reached(kind, name, key, action):
                    rows[step[:100], compensates, target, credential] = action
        grants.bulk_create(
            model(
                version=version,
                step=step,
                compensates=compensates,
                target_id=target,
                credential_id=credential,
                call=action[:700],
                granted_by=BY,
            )
            for (step, compensates, target, credential), action in rows.items()
        )
        if rows:
            told = sorted({step for step, *_ in rows})
            noted.setdefault(version.workflow, {})[str(version.number)] = told
    for workflow, steps in noted.items():
        apps.get_model("core", "AuditEntry").objects.create(
            actor_kind="ANONYMOUS",
            actor=BY,
            verb="GRANTED",
            object_type="workflow",
            object_id=str(workflow.pk),
            object_name=workflow.name,
            reason=REASON,
            changes={"versions": steps},
        )


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0007_grant_verbs"),
        ("workflows", "0019_credential_grants"),
    ]

    operations = [
        migrations.RunPython(grant_versions, migrations.RunPython.noop),
    ]
