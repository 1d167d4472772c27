"""Keys that make a repeated submission harmless."""

from __future__ import annotations

from django.db import models


class SubmissionKey(models.Model):
    """One Idempotency-Key of one user: same key and body give the same tasks."""

    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    body_sha256 = models.CharField(max_length=64)
    task_ids = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("user", "tenant", "key"), name="one_use_per_key"),
        ]

    def __str__(self) -> str:
        return self.key
