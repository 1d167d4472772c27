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
            raise Conflict("A host still has this package; remove the plug-in there first.")
        detail = {"name": package.name, "version": package.version, "sha256": package.sha256}
        audit.record(by, "plugin.delete_package", package, detail)
        package.delete()
        transaction.on_commit(partial(delete_unused, package.sha256))


def read(package: PluginPackage) -> bytes:
    """Return a package's bytes; raises NotFound when the file is gone."""
    try:
        return path_of(package.sha256).read_bytes()
    except FileNotFoundError as error:
        raise NotFound("The package's file is missing; upload it again.") from error


def read_manifest(data: bytes) -> Manifest:
    """Return what a package says of itself; raises Invalid, TooLarge. Extracts nothing."""
    try:
        # Every entry is looked at: what no host would take is refused here, too.
        found = read_archive(data, only=(MANIFEST_FILE,))
    except TooMuch as error:
        raise TooLarge(f"The package cannot be kept: {error}.") from error
    except BadPackage as error:
        raise _invalid("file", f"This is no package as plugin-pack makes it: {error}.") from error
    if MANIFEST_FILE not in found:
        raise _invalid("file", f"There is no {MANIFEST_FILE} in it.")
    manifest = _parse_manifest(found[MANIFEST_FILE].data)
    if manifest.name in BUILT_IN:
        raise _invalid("file", f"{manifest.name} is the name of a built-in plug-in.")
    return manifest


def _parse_manifest(text: bytes) -> Manifest:
    """Return the manifest as YAML says it; raises Invalid."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise _invalid("file", f"{MANIFEST_FILE} has more than {MAX_MANIFEST_BYTES} bytes.")
    try:
        return msgspec.convert(load_plain(text), Manifest)
    except Exception as error:  # a stranger's YAML raises many kinds, each of them a refusal
        sentence = f"{MANIFEST_FILE} cannot be used: {error}"
        raise _invalid("file", sentence[:MAX_SENTENCE_CHARACTERS]) from error


def _check_size(data: bytes) -> None:
    """Raise TooLarge beyond what any host takes."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise TooLarge(f"A package may have at most {MAX_PACKAGE_BYTES // 1024**2} MiB.")


def _check_has_room(tenant_id: str, digest: str) -> None:
    """Raise Conflict for a content that the tenant has, Invalid when it has enough."""
    known = PluginPackage.objects.filter(tenant_id=tenant_id)
    if known.filter(sha256=digest).exists():
        raise Conflict("This package is there already.")
    if known.count() >= MAX_PACKAGES_PER_TENANT:
        raise Invalid(f"At most {MAX_PACKAGES_PER_TENANT} packages; delete old ones first.")


def _check_is_new(tenant_id: str, manifest: Manifest, digest: str) -> None:
    """Raise Conflict also for a version that the tenant has."""
    _check_has_room(tenant_id, digest)
    known = PluginPackage.objects.filter(tenant_id=tenant_id)
    if known.filter(name=manifest.name, version=manifest.version).exists():
        raise Conflict("This version of the plug-in is there already; raise the version.")


def _check_signature(signature: str) -> None:
    """Raise Invalid unless it has the shape of an Ed25519 signature in base64."""
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("signature", "Must be base64.") from error
    if len(raw) != SIGNATURE_BYTES:
        raise _invalid("signature", f"An Ed25519 signature has {SIGNATURE_BYTES} bytes.")


def _invalid(field: str, sentence: str) -> Invalid:
    """Return the error of one field."""
    return Invalid("The package cannot be kept.", fields={field: [sentence]})
