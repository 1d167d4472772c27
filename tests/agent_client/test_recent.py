"""The newest figures and their percentiles."""

from __future__ import annotations

from agent_client.recent import Recent


def test_percentiles_are_of_the_newest_figures_only():
    recent = Recent(100)
    assert (len(recent), recent.percentile(0.5)) == (0, 0.0)
    for figure in range(1000, 0, -1):
        recent.add(float(figure))
    assert len(recent) == 100
    assert (recent.percentile(0), recent.percentile(0.5), recent.percentile(0.99)) == (1, 51, 100)
    assert recent.percentile(1) == 100
