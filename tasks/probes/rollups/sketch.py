"""Durations in log buckets: percentiles within 2 % that add up exactly over any spans: pure.

Bucket n holds durations in (G^(n-1), G^n] microseconds with G = 1.04 (DDSketch, Masson et
al. 2019): adding two sketches is adding counts, so a day's p99 needs no single results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

GROWTH = 1.04
_LOG_GROWTH = math.log(GROWTH)
Sketch = dict[int, int]
"""Bucket number -> count; at most some 900 entries for 1 µs to 1e9 s."""


def bucket_of(duration_us: int) -> int:
    """Return the bucket of a duration in microseconds; everything below 1 is bucket 0."""
    return math.ceil(math.log(duration_us) / _LOG_GROWTH) if duration_us > 1 else 0


def merge(into: Sketch, other: Mapping[int, int]) -> None:
    """Add the counts of another sketch."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def percentile(sketch: Mapping[int, int], share: float) -> float | None:
    """Return the duration in microseconds that so many are within; None without any."""
    total = sum(sketch.values())
    if not total:
        return None
    rank = max(math.ceil(share * total), 1)
    for bucket in sorted(sketch):
        rank -= sketch[bucket]
        if rank <= 0:
            # The middle of the bucket in the sense that halves the relative error.
            return 2 * GROWTH**bucket / (1 + GROWTH) if bucket else 1.0
    return None


def dump(sketch: Mapping[int, int]) -> str:
    """Return the sketch as text."""
    return json.dumps(sketch, separators=(",", ":"))


def load(text: str) -> Sketch:
    """Return the sketch that dump() wrote."""
    return {int(bucket): count for bucket, count in json.loads(text).items()}
