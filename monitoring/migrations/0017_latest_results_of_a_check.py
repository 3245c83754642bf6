from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0016_engine_incidents")]

    operations = [
        migrations.AddIndex(
            model_name="healthcheckresult",
            index=models.Index(fields=["health_check", "-id"], name="check_result_latest_idx"),
        ),
    ]
