"""Every sentence of the agents' probes and of the kinds is known to the console in Chinese."""

from __future__ import annotations

import pytest
from django.utils import translation

from tasks.probes.sentences import said
from tests.rules.spoken import sentences_of_kinds, sentences_of_probes

PARTS = {"at least 7", "at most 7", "at most 7 long", "7: 7", "closed 7"}
"""What is joined to a whole; the wholes are known."""


@pytest.mark.parametrize("sentences", [sentences_of_kinds, sentences_of_probes])
def test_sentences_of_the_sources_are_said_in_chinese(sentences) -> None:
    found = set(sentences()) - PARTS
    assert len(found) > 40
    with translation.override("zh-hans"):
        assert not [one for one in sorted(found) if said(one) == one]
