"""The template tags: what they draw is escaped, labelled and free of style attributes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from dialer_platform.accounts.principal import principal_for


def draw(source: str, **variables: object) -> str:
    """Return a snippet rendered with the console's tags."""
    return Template("{% load console %}" + source).render(Context(variables)).strip()


def test_badge_escapes_its_label_and_carries_the_hook():
    html = draw('{% badge "failed" label "task-status-4" %}', label="<b>x</b>")
    assert "&lt;b&gt;" in html
    assert 'class="badge tone-failed"' in html
    assert 'data-testid="task-status-4"' in html


def test_priority_is_said_in_words():
    assert "Priority 1: urgent" in draw("{% priority 1 %}")
    assert draw("{% priority 2 words=True %}").endswith("2 · high</span></span>")


def test_bar_draws_its_width_as_an_attribute():
    html = draw('{% bar 58 "running" "58 %" %}')
    assert 'width="58' in html
    assert "style=" not in html
    assert 'aria-label="58 %"' in html


def test_stacked_bar_keeps_the_tones():
    html = draw("{% stacked_bar parts 20 %}", parts=[(5, "done"), (2, "waiting")])
    assert html.count("<rect") == 2
    assert 'class="tone-waiting" x="25.0"' in html


def test_sparkline_is_nothing_without_samples():
    assert draw("{% sparkline values %}", values=[]) == ""
    assert "<polyline" in draw("{% sparkline values 100 %}", values=[1, 2, 3])


def test_relative_time_carries_the_exact_one():
    at = timezone.now() - timedelta(minutes=5, seconds=2)
    html = draw("{% relative_time at %}", at=at)
    assert f'datetime="{at.isoformat()}"' in html
    assert html.endswith(">5 m ago</time>")


def test_relative_time_of_nothing_is_a_dash():
    assert "—" in draw("{% relative_time at %}", at=None)


def test_ticking_names_the_start():
    since = timezone.now() - timedelta(seconds=75)
    assert draw("{% ticking at %}", at=since).endswith(">1 m 15 s</span>")


def test_filters_say_sizes():
    assert draw("{{ n|bytes }} {{ m|megabytes }}", n=2048, m=20480) == "2 kB 20 GB"


@pytest.mark.parametrize(("source", "expected"), [("page=2", "?name=a&page=2"), ("name=None", "?")])
def test_query_changes_one_name_and_keeps_the_others(source, expected):
    request = RequestFactory().get("/tasks/?name=a")
    assert (
        draw("{% autoescape off %}{% query " + source + " %}{% endautoescape %}", request=request)
        == expected
    )


def test_can_asks_the_role(viewer_user, operator_user):
    source = '{% can "task.cancel" as may %}{{ may }}'
    assert draw(source, principal=principal_for(viewer_user)) == "False"
    assert draw(source, principal=principal_for(operator_user)) == "True"
