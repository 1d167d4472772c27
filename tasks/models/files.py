"""Files that the server keeps for hosts, and what each task of a file kind moves."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.querysets import StoredFileQuerySet


def new_file_id() -> str:
    """Return an id that cannot be guessed; hex, so that no file system confuses two of them."""
    return secrets.token_hex(12)


class StoredFile(models.Model):
    """One file on the server: sent by a person for hosts, or fetched from one.

    Its content lies in the data directory under its id, never under its name. The size and
    digest of a file from a host are known once it is complete. How much of an incomplete
    one has arrived is the size of its part on disk: no row is written for each chunk.
    """

    id = models.CharField(primary_key=True, max_length=32, default=new_file_id, editable=False)
    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=255)
    size_bytes = models.BigIntegerField(_("size (bytes)"), null=True, blank=True)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)
    complete = models.BooleanField(_("complete"), default=False)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_time = models.DateTimeField(_("created"), auto_now_add=True)
    expires_time = models.DateTimeField(_("kept until"), db_index=True)

    objects = StoredFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering = ("-created_time", "id")
        # The list of a tenant, newest first.
        indexes = [models.Index(fields=("tenant", "-created_time"), name="file_list")]

    def __str__(self) -> str:
        return self.name


class FileTransfer(models.Model):
    """What one task of a file kind moves: which file, and to or from where on the host.

    The direction is the task's kind. The host's token is derived from the transfer and
    the number of the offer, so that an offer that is sent twice carries the same one and
    the database holds none.
    """

    id = models.CharField(primary_key=True, max_length=32, default=new_file_id, editable=False)
    task = models.OneToOneField("tasks.Task", models.CASCADE, related_name="transfer")
    stored_file = models.ForeignKey(
        StoredFile, models.SET_NULL, null=True, blank=True, related_name="transfers"
    )
    path = models.CharField(_("path on the host"), max_length=4096)
    options = models.JSONField(_("options"), default=dict, blank=True)

    class Meta:
        verbose_name = _("file transfer")
        verbose_name_plural = _("file transfers")

    def __str__(self) -> str:
        return self.path
