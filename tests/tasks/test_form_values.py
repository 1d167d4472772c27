"""What people type, as values and back."""

from __future__ import annotations

import pytest

from tasks import form_values


@pytest.mark.parametrize(
    ("text", "ids"),
    [("", []), ("12", [12]), ("12, #14  15", [12, 14, 15]), ("3,3", [3]), ("1，2、3", [1, 2, 3])],
)
def test_ids_are_read_in_order(text, ids):
    assert form_values.parse_ids(text) == ids


@pytest.mark.parametrize("text", ["x", "1, two", "-1", "1.5", "9" * 19])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match="Not a task id"):
        form_values.parse_ids(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("90", 90), ("15m", 900), ("2h 30m", 9000), ("1d", 86_400), ("1.5 hours", 5400)],
)
def test_a_length_of_time_is_read(text, seconds):
    assert form_values.parse_length(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-5", "5 x", "h", "1m!"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="length of time"):
        form_values.parse_length(text)


@pytest.mark.parametrize("seconds", [None, 1, 60, 5400, 90_061])
def test_a_length_of_time_survives_the_form(seconds):
    assert form_values.parse_length(form_values.format_length(seconds)) == seconds


def test_an_environment_survives_the_form():
    env = {"A": "1", "PATH": "/a b:/c", "EMPTY": ""}
    assert form_values.parse_environment(form_values.format_environment(env)) == env


def test_labels_survive_the_form():
    labels = {"gpu": "a100", "zone": "lab"}
    assert form_values.parse_labels(form_values.format_labels(labels)) == labels


def test_a_pair_without_a_name_is_refused():
    with pytest.raises(ValueError, match="NAME=value"):
        form_values.parse_environment("=x")
