"""Notices remember how grave an incident was when it was told: what becomes worse is told again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0007_status_page"),
    ]

    operations = [
        migrations.AddField(
            model_name="alertnotice",
            name="severity",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
    ]
