"""Give every stored address its one form, and make one instance of those that become the same.

What is no address any more stays as it is: its next change says what is wrong with it. Going back
changes nothing, as every form was an address before too.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from django.db import migrations

from registry.addresses import BadAddress, normal_base_url, normal_host, normal_url, read_url
from registry.credentials.origins import parse_origin

logger = logging.getLogger(__name__)

# The first of these that one of them has is that of all: an operator's word, then the best one.
STATUSES = ("MAINTENANCE", "ONLINE", "DEGRADED", "UNKNOWN", "OFFLINE")
MAINTENANCE = (
    "maintenance_since", "maintenance_until", "maintenance_by", "maintenance_reason",
)  # fmt: skip
CONTROLLED = ("FORCED_OPEN", "DISABLED")


def form_of(normalise, value):
    try:
        return normalise(value) if value else value
    except (BadAddress, ValueError):
        return value


def normalise_instances(apps, schema_editor):
    model = apps.get_model("registry", "ServiceInstance")
    groups = defaultdict(list)
    for row in model.objects.order_by("pk"):
        groups[row.service_id, form_of(normal_base_url, row.url)].append(row)
    for (_, url), rows in groups.items():
        kept = max(rows, key=heard)
        others = [row for row in rows if row is not kept]
        if others:
            merge(apps, kept, others, url)
        health_url = form_of(normal_url, kept.health_url)
        if others or (url, health_url) != (kept.url, kept.health_url):
            kept.url, kept.health_url = url, health_url
            kept.save()


def heard(row):
    beat = row.last_heartbeat_at
    return beat is not None, beat or row.created_at, str(row.pk)


def merge(apps, kept, others, url):
    """Make one of rows: what was heard last counts, and nothing of an operator's is lost."""
    rows = [kept, *others]
    logger.warning(
        "The instances %s of the service '%s' are one, %s: %s is kept",
        ", ".join(f"{row.url} ({row.pk})" for row in rows), kept.service.name, url, kept.pk,
    )  # fmt: skip
    kept.status = min((row.status for row in rows), key=STATUSES.index)
    kept.has_beaten = any(row.has_beaten for row in rows)
    kept.registered_at = min(row.registered_at for row in rows)
    kept.health_url = next((row.health_url for row in rows if row.health_url), "")
    kept.metadata = {name: value for row in (*others, kept) for name, value in row.metadata.items()}
    word = next((row for row in rows if row.maintenance_since is not None), None)
    for name in MAINTENANCE if word else ():
        setattr(kept, name, getattr(word, name))
    keep_circuit(apps, kept, others)
    apps.get_model("registry", "ServiceInstance").objects.filter(
        pk__in=[row.pk for row in others]
    ).delete()
    correct_status(apps, kept)


def keep_circuit(apps, kept, others):
    """Keep the circuit that an operator set, else that of the row that stays, else any."""
    model = apps.get_model("registry", "CircuitBreakerState")
    found = list(model.objects.filter(instance__in=[kept, *others]))
    if not found:
        return
    best = max(found, key=lambda row: (row.state in CONTROLLED, row.instance_id == kept.pk))
    model.objects.filter(pk__in=[row.pk for row in found if row is not best]).delete()
    model.objects.filter(pk=best.pk).update(instance=kept)


def correct_status(apps, kept):
    """A service that was only degraded by the ghost is so no more."""
    instances = apps.get_model("registry", "ServiceInstance").objects
    if not instances.filter(service=kept.service_id).exclude(pk=kept.pk).exists():
        services = apps.get_model("registry", "Service").objects
        services.filter(pk=kept.service_id, maintenance_since=None).update(status=kept.status)


def normalise_connections(apps, schema_editor):
    model = apps.get_model("registry", "Connection")
    for row in model.objects.only("pk", "base_url", "host"):
        new = {
            "base_url": form_of(normal_base_url, row.base_url),
            "host": form_of(normal_host, row.host),
        }
        if new != {"base_url": row.base_url, "host": row.host}:
            model.objects.filter(pk=row.pk).update(**new)


def normalise_credentials(apps, schema_editor):
    model = apps.get_model("registry", "Credential")
    for row in model.objects.only("pk", "allowed_origins", "attributes"):
        origins = list(dict.fromkeys(form_of(parse_origin, text) for text in row.allowed_origins))
        attributes = dict(row.attributes)
        if "token_url" in attributes:
            attributes["token_url"] = form_of(token_url_of, attributes["token_url"])
        if (origins, attributes) != (row.allowed_origins, row.attributes):
            model.objects.filter(pk=row.pk).update(allowed_origins=origins, attributes=attributes)


def token_url_of(text):
    return read_url(text, with_query=True).text


class Migration(migrations.Migration):
    dependencies = [("registry", "0012_observation_gap")]

    operations = [
        migrations.RunPython(normalise_instances, migrations.RunPython.noop),
        migrations.RunPython(normalise_connections, migrations.RunPython.noop),
        migrations.RunPython(normalise_credentials, migrations.RunPython.noop),
    ]
