from django.db import migrations, models

import core.models.api_key


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_legacy_call"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="service_names",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="Services that it may register and change, such as billing-*. Empty: its own, and names that are free.",
                validators=[core.models.api_key.validate_patterns],
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="service_types",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="Types of services that it may register, such as PLANNING_SYSTEM or *. Empty: as REGISTRATION_POLICY says.",
                validators=[core.models.api_key.validate_patterns],
            ),
        ),
    ]
