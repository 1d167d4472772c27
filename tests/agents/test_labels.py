"""Labels of hosts as people type them."""

from __future__ import annotations

import pytest

from agents.labels import MAX_LABELS, format_labels, label_errors, name_errors, parse_labels


def test_typed_labels_are_read_and_written_alike():
    labels = parse_labels(" zone = lab，gpu=a100,\nnote=")
    assert labels == {"zone": "lab", "gpu": "a100", "note": ""}
    assert parse_labels(format_labels(labels)) == labels


@pytest.mark.parametrize("text", ["zone", "=lab", "a=1, b"])
def test_label_without_a_name_or_sign_is_named(text):
    with pytest.raises(ValueError, match="Write name=value"):
        parse_labels(text)


def test_one_label_too_many_is_refused():
    labels = {f"l{number}": "" for number in range(MAX_LABELS + 1)}
    assert "At most 32 labels." in label_errors(labels)["labels"]


@pytest.mark.parametrize("name", ["", "  ", "n" * 201, 5])
def test_bad_host_name_is_refused(name):
    assert name_errors(name)
