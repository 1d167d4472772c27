"""YAML of strangers: data without aliases."""

from __future__ import annotations

import pytest
import yaml

from agent_client.protocol.plain_yaml import load_plain

BOMB = b"a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}\n"


def test_alias_is_refused_before_it_is_followed():
    with pytest.raises(yaml.YAMLError, match="aliases"):
        load_plain(BOMB)


def test_plain_data_is_read_and_nothing_is_made_of_it():
    assert load_plain(b"a: &x [1, '2']") == {"a": [1, "2"]}
    with pytest.raises(yaml.YAMLError):
        load_plain("!!python/object/apply:os.system [id]")
