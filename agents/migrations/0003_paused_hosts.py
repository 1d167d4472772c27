"""Hosts may be paused: drained, with their probes at rest."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_releases")]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="is_paused",
            field=models.BooleanField(default=False, verbose_name="paused"),
        ),
    ]
