"""Packages of plug-ins: checked at upload, kept by their digest, never opened again here.

The server checks that a package says what it is; whether it may run anywhere only the
agents decide, by signatures of keys that this server does not have.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import tarfile
import zlib
from functools import partial
from typing import IO

import msgspec
import yaml
from django.db import transaction

from agent_client.protocol.plugin_package import (
    MANIFEST_FILE,
    MAX_FILES,
    MAX_PACKAGE_BYTES,
    MAX_UNPACKED_BYTES,
    Manifest,
)
from agents.plugins.choices import BUILT_IN
from agents.plugins.models import PluginPackage
from agents.plugins.package_files import delete_unused, draft_of, path_of, put
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from dialer_platform.storage import write_transaction

MAX_MANIFEST_BYTES = 64 * 1024
MAX_PACKAGES_PER_TENANT = 200
SIGNATURE_BYTES = 64
MAX_SENTENCE_CHARACTERS = 300


def upload_package(
    *, tenant_id: str, data: bytes, signature: str, by: Principal | str
) -> PluginPackage:
    """Keep a package and return it; of one that is refused nothing stays on the disk.

    Raises Invalid, TooLarge, DiskFull, and Conflict for a known version.
    """
    manifest = read_manifest(data)
    _check_signature(signature)
    digest = hashlib.sha256(data).hexdigest()
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
    if len(data) > MAX_PACKAGE_BYTES:
        raise TooLarge(f"A package may have at most {MAX_PACKAGE_BYTES // 1024**2} MiB.")
    try:
        text = _manifest_bytes(data)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise _invalid("file", "This is no tar.gz archive.") from error
    manifest = _parse_manifest(text)
    if manifest.name in BUILT_IN:
        raise _invalid("file", f"{manifest.name} is the name of a built-in plug-in.")
    return manifest


class _Bounded(io.RawIOBase):
    """A reader that ends in an error after so many bytes: a small archive may unpack to TBs."""

    def __init__(self, source: IO[bytes], limit_bytes: int) -> None:
        """Read from source."""
        self._source = source
        self._left_bytes = limit_bytes

    def readable(self) -> bool:
        """Return that it is for reading."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raises TooLarge beyond the limit."""
        data = self._source.read(min(size, self._left_bytes + 1) if size >= 0 else size)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise TooLarge(f"It unpacks to more than {MAX_UNPACKED_BYTES // 1024**2} MiB.")
        return data


def _manifest_bytes(data: bytes) -> bytes:
    """Return the manifest of an archive, reading as a stream and writing nothing."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as unzipped:
        source = _Bounded(unzipped, MAX_UNPACKED_BYTES)  # type: ignore[arg-type]  # GzipFile is one
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_FILES * 2:  # directories are members, too
                    raise _invalid("file", f"More than {MAX_FILES} files.")
                if member.name.removeprefix("./") != MANIFEST_FILE:
                    continue
                if not member.isfile() or member.size > MAX_MANIFEST_BYTES:
                    raise _invalid("file", f"{MANIFEST_FILE} is no small file.")
                found = archive.extractfile(member)
                return bytes(found.read()) if found else b""
    raise _invalid("file", f"There is no {MANIFEST_FILE} in it.")


def _parse_manifest(text: bytes) -> Manifest:
    """Return the manifest as YAML says it; raises Invalid."""
    try:
        return msgspec.convert(yaml.safe_load(text), Manifest)
    # PyYAML lets out what converting a value raises: a date that there is not is a
    # ValueError, an empty number an IndexError, `!!bool x` a KeyError.
    except Exception as error:  # whatever is wrong with it, it is refused
        sentence = f"{MANIFEST_FILE} cannot be used: {error}"
        raise _invalid("file", sentence[:MAX_SENTENCE_CHARACTERS]) from error


def _check_is_new(tenant_id: str, manifest: Manifest, digest: str) -> None:
    """Raise Conflict for a version or content that the tenant has, Invalid when it has enough."""
    known = PluginPackage.objects.filter(tenant_id=tenant_id)
    if known.filter(name=manifest.name, version=manifest.version).exists():
        raise Conflict("This version of the plug-in is there already; raise the version.")
    if known.filter(sha256=digest).exists():
        raise Conflict("This package is there already.")
    if known.count() >= MAX_PACKAGES_PER_TENANT:
        raise Invalid(f"At most {MAX_PACKAGES_PER_TENANT} packages; delete old ones first.")


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
