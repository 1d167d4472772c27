"""What every piece of a message builds on: the struct's base and the bounds of its numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""An id, count or offset; no larger than database columns and file offsets."""
Code = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""An exit code or a signal number."""
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A small count: cores, slots."""
Word = Annotated[str, msgspec.Meta(max_length=16)]
"""One short word, such as a cause; the receiver may not know it."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message; encoded without the fields that hold their default."""
