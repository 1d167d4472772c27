"""How large and how slow a request may be, before any application code sees it.

The web server reads a whole body before it calls the application (a 300 MB anonymous POST
cost 391 MB of memory, measured), so the limits must be enforced where the bytes arrive.
"""

from __future__ import annotations

MIB = 1024 * 1024
HEADER_SECONDS = 20.0
BODY_SECONDS = 30.0
SLOWEST_BODY_BYTES_PER_SECOND = 32 * 1024
# A connection on which nothing leaves for so long is aborted; a slow one is not.
STUCK_READER_SECONDS = 120.0
# With so many messages that the application has not taken a socket is not read.
MAX_WAITING_MESSAGES = 500
# What is read and thrown away after a refusal, so that the client sees the answer
# instead of a reset connection.
DRAIN_BYTES = 64 * MIB

# Connections without a request, or with half of one; an idle one costs 2 KB.
MAX_WAITING_PER_ADDRESS = 2_000

DEFAULT_BODY_BYTES = MIB
LARGEST_BODY_BYTES = 12 * MIB
LOGIN_BODY_BYTES = 64 * 1024
CHUNK_BODY_BYTES = 4 * MIB

# Longest prefix first. A script of 1 MiB grows several-fold when it is escaped as JSON
# or as a form, so its own limit is checked again after decoding.
BODY_BYTES_BY_PREFIX = (
    (b"/api/v1/agents/register/", 256 * 1024),
    (b"/api/v1/tasks/", LARGEST_BODY_BYTES),
    (b"/api/v1/templates/", LARGEST_BODY_BYTES),
    (b"/api/v1/transfers/", CHUNK_BODY_BYTES),
    (b"/api/v1/files/", CHUNK_BODY_BYTES),
    (b"/api/v1/nodes/", LARGEST_BODY_BYTES),
    (b"/accounts/", LOGIN_BODY_BYTES),
    (b"/tasks/", LARGEST_BODY_BYTES),
    (b"/templates/", LARGEST_BODY_BYTES),
    (b"/admin/", LARGEST_BODY_BYTES),
)


def body_limit(path: bytes) -> int:
    """Return how many bytes the body of a request to this path may have."""
    for prefix, limit in BODY_BYTES_BY_PREFIX:
        if path.startswith(prefix):
            return limit
    return DEFAULT_BODY_BYTES


def body_seconds(length: int | None, limit: int) -> float:
    """Return how long the body may take: slow links are fine, dripping is not."""
    return BODY_SECONDS + (limit if length is None else length) / SLOWEST_BODY_BYTES_PER_SECOND
