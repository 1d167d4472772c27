"""The queue of tasks that move files has an index of its own: it is read while no slot is free."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0005_files")]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(
                    ("kind__in", ("file_upload", "file_download", "file_preview")),
                    ("phase", "queued"),
                    ("status", "waiting"),
                ),
                fields=["tenant", "priority", "id"],
                name="task_queue_of_transfers",
            ),
        ),
    ]
