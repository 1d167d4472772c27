"""A plug-in of pytest that keeps only the tests which touch the database."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests without a database fixture or mark."""
    others = [item for item in items if not touches_storage(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if touches_storage(item)]


def touches_storage(item: pytest.Item) -> bool:
    """Return whether a test asks for a database, itself or by one of its fixtures."""
    names = getattr(item, "fixturenames", ())
    is_marked = item.get_closest_marker("django_db") is not None
    return is_marked or not {"db", "transactional_db"}.isdisjoint(names)
