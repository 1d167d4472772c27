"""`plugin-key` and `plugin-pack`: what the author of a plug-in needs to publish it.

Both work on this machine alone: the private key never goes anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from agent_client.errors import ExitCode, Rejected
from agent_client.plugins import signing
from agent_client.plugins.pack import pack
from agent_client.state import write_durably


def run(options: argparse.Namespace) -> int:
    """Run the verb of the options."""
    verb = _make_key if options.verb == "plugin-key" else _pack
    try:
        return verb(options)
    except Rejected as error:
        print(f"agent_client: {error.detail}", file=sys.stderr)
        return ExitCode.USAGE
    except (OSError, ValueError) as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except ImportError as error:
        print(f"agent_client: {error}: install the package cryptography", file=sys.stderr)
        return ExitCode.USAGE


def _make_key(options: argparse.Namespace) -> int:
    """Write a private key and print what hosts list in their policy."""
    public = signing.make_key(Path(options.file))
    if options.json:
        print(json.dumps({"file": options.file, "public_key": public}))
    else:
        print(public)
        print(
            f"Keep {options.file} to yourself. Hosts that are to install what it signs list the"
            " line above in their policy.yaml: plugins.keys, and set plugins.install to true.",
            file=sys.stderr,
        )
    return ExitCode.OK


def _pack(options: argparse.Namespace) -> int:
    """Write the package of a directory and its signature beside each other."""
    key = signing.read_key(Path(options.key))
    packed = pack(Path(options.directory))
    manifest, sha256 = packed.manifest, hashlib.sha256(packed.data).hexdigest()
    signature = signing.sign(key, manifest.name, manifest.version, sha256)
    file = Path(options.out) / f"{manifest.name}-{manifest.version}.tar.gz"
    write_durably(file, packed.data)
    write_durably(file.with_name(file.name + ".sig"), signature.encode() + b"\n")
    facts = {
        "file": str(file),
        "name": manifest.name,
        "version": manifest.version,
        "size_bytes": len(packed.data),
        "sha256": sha256,
        "signature": signature,
    }
    if options.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name:10}  {value}")
    return ExitCode.OK
