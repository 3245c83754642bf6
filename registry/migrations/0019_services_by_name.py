from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0018_limits_and_owners"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="service",
            index=models.Index(fields=["name"], name="service_name_idx"),
        ),
    ]
