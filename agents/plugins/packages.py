"""Packages of plug-ins: checked at upload, kept by their digest, never opened again here.

The server checks that a package says what it is; whether it may run anywhere only the
agents decide, by signatures of keys that this server does not have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import partial

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from agent_client.protocol.package_archive import BadPackage, TooMuch, read_archive
from agent_client.protocol.plain_yaml import load_plain
from agent_client.protocol.plugin_package import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    MAX_PACKAGE_BYTES,
    Manifest,
)
from agents.plugins.choices import BUILT_IN
from agents.plugins.models import PluginPackage
from agents.plugins.package_files import delete_unused, draft_of, path_of, put
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from dialer_platform.storage import write_transaction

MAX_PACKAGES_PER_TENANT = 200
SIGNATURE_BYTES = 64
MAX_SENTENCE_CHARACTERS = 300


def upload_package(
    *, tenant_id: str, data: bytes, signature: str, by: Principal | str
) -> PluginPackage:
    """Keep a package and return it; of one that is refused nothing stays on the disk.

    Raises Invalid, TooLarge, DiskFull, and Conflict for a known version.
    """
    # What is cheap to know comes before a look into what somebody has made.
    _check_signature(signature)
    _check_size(data)
    digest = hashlib.sha256(data).hexdigest()
    _check_has_room(tenant_id, digest)
    manifest = read_manifest(data)
    _check_is_new(tenant_id, manifest, digest)
    with draft_of(digest, data) as draft, write_transaction():
        # Once more: another upload may have come first while the draft was written.
        _check_is_new(tenant_id, manifest, digest)
        package = PluginPackage.objects.create(
            tenant_id=tenant_id,
            name=manifest.name,
            version=manifest.version,
            sha256=digest,
            signature=signature.strip(),
            size_bytes=len(data),
            uploaded_by=(by.name if isinstance(by, Principal) else str(by))[:200],
        )
        detail = {"name": manifest.name, "version": manifest.version, "sha256": digest}
        audit.record(by, "plugin.upload", package, detail)
        put(draft, digest)
    return package


def delete_package(package: PluginPackage, *, by: Principal | str) -> None:
    """Forget a package and its file; raises Conflict while a host is to run it."""
    with write_transaction():
        if package.uses.exists():
            raise Conflict(_("A host still has this package; remove the plug-in there first."))
        detail = {"name": package.name, "version": package.version, "sha256": package.sha256}
        audit.record(by, "plugin.delete_package", package, detail)
        package.delete()
        transaction.on_commit(partial(delete_unused, package.sha256))


def read(package: PluginPackage) -> bytes:
    """Return a package's bytes; raises NotFound when the file is gone."""
    try:
        return path_of(package.sha256).read_bytes()
    except FileNotFoundError as error:
        raise NotFound(_("The package's file is missing; upload it again.")) from error


def read_manifest(data: bytes) -> Manifest:
    """Return what a package says of itself; raises Invalid, TooLarge. Extracts nothing."""
    try:
        # Every entry is looked at: what no host would take is refused here, too.
        found = read_archive(data, only=(MANIFEST_FILE,))
    except TooMuch as error:
        raise TooLarge(_("The package cannot be kept: %(why)s.") % {"why": error}) from error
    except BadPackage as error:
        raise _invalid(
            "file", _("This is no package as plugin-pack makes it: %(why)s.") % {"why": error}
        ) from error
    if MANIFEST_FILE not in found:
        raise _invalid("file", _("There is no %(file)s in it.") % {"file": MANIFEST_FILE})
    manifest = _parse_manifest(found[MANIFEST_FILE].data)
    if manifest.name in BUILT_IN:
        raise _invalid(
            "file", _("%(name)s is the name of a built-in plug-in.") % {"name": manifest.name}
        )
    return manifest


def _parse_manifest(text: bytes) -> Manifest:
    """Return the manifest as YAML says it; raises Invalid."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise _invalid(
            "file",
            _("%(file)s has more than %(limit)d bytes.")
            % {"file": MANIFEST_FILE, "limit": MAX_MANIFEST_BYTES},
        )
    try:
        return msgspec.convert(load_plain(text), Manifest)
    except Exception as error:  # a stranger's YAML raises many kinds, each of them a refusal
        sentence = _("%(file)s cannot be used: %(why)s") % {"file": MANIFEST_FILE, "why": error}
        raise _invalid("file", sentence[:MAX_SENTENCE_CHARACTERS]) from error


def _check_size(data: bytes) -> None:
    """Raise TooLarge beyond what any host takes."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise TooLarge(
            _("A package may have at most %(limit)d MiB.") % {"limit": MAX_PACKAGE_BYTES // 1024**2}
        )


def _check_has_room(tenant_id: str, digest: str) -> None:
    """Raise Conflict for a content that the tenant has, Invalid when it has enough."""
    known = PluginPackage.objects.filter(tenant_id=tenant_id)
    if known.filter(sha256=digest).exists():
        raise Conflict(_("This package is there already."))
    if known.count() >= MAX_PACKAGES_PER_TENANT:
        raise Invalid(
            _("At most %(limit)d packages; delete old ones first.")
            % {"limit": MAX_PACKAGES_PER_TENANT}
        )


def _check_is_new(tenant_id: str, manifest: Manifest, digest: str) -> None:
    """Raise Conflict also for a version that the tenant has."""
    _check_has_room(tenant_id, digest)
    known = PluginPackage.objects.filter(tenant_id=tenant_id)
    if known.filter(name=manifest.name, version=manifest.version).exists():
        raise Conflict(_("This version of the plug-in is there already; raise the version."))


def _check_signature(signature: str) -> None:
    """Raise Invalid unless it has the shape of an Ed25519 signature in base64."""
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("signature", _("Must be base64.")) from error
    if len(raw) != SIGNATURE_BYTES:
        raise _invalid(
            "signature", _("An Ed25519 signature has %(size)d bytes.") % {"size": SIGNATURE_BYTES}
        )


def _invalid(field: str, sentence: str) -> Invalid:
    """Return the error of one field."""
    return Invalid(_("The package cannot be kept."), fields={field: [sentence]})
