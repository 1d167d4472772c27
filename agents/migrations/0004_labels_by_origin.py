"""Labels of a host's own settings apart from those that people gave it.

Where the present ones came from is not known: they count as given, so that none is lost.
Backwards nothing is moved: `labels` always holds both.
"""

from django.db import migrations, models
from django.db.models import F


def keep_as_given(apps, _schema_editor):
    """Have every present label stay until somebody takes it away."""
    apps.get_model("agents", "Agent").objects.update(given_labels=F("labels"))


class Migration(migrations.Migration):
    dependencies = [("agents", "0003_paused_hosts")]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="given_labels",
            field=models.JSONField(blank=True, default=dict, verbose_name="labels given here"),
        ),
        migrations.AddField(
            model_name="agent",
            name="host_labels",
            field=models.JSONField(
                blank=True, default=dict, verbose_name="labels of its own settings"
            ),
        ),
        migrations.RunPython(keep_as_given, migrations.RunPython.noop),
    ]
