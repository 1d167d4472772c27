"""Index waiting tasks and bookings by tenant: the matcher works on one tenant at a time.

Without it SQLite read all rows of a tenant, finished ones included, at every offer.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tasks", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="task", name="task_queue"),
        migrations.RemoveIndex(model_name="task", name="task_bookings"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["tenant", "priority", "id"],
                condition=Q(("phase", "queued"), ("status", "waiting")),
                name="task_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["tenant", "agent"],
                condition=Q(("phase__in", ("offered", "starting", "running", "canceling"))),
                name="task_bookings",
            ),
        ),
    ]
