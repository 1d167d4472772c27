"""The admin of the alerts shows and changes nothing."""

from __future__ import annotations

import pytest

from tasks.alerts.services.channels import test_channel


@pytest.mark.parametrize("model", ["channel", "rule", "alert", "delivery"])
def test_list_is_shown_and_nothing_can_be_added(
    page_client, superuser, principal, rule, channel, model
) -> None:
    test_channel(channel, by=principal)
    client = page_client(superuser)
    assert client.get(f"/admin/alerts/{model}/").status_code == 200
    assert client.get(f"/admin/alerts/{model}/add/").status_code == 403


def test_sealed_address_is_not_shown(page_client, superuser, channel) -> None:
    text = page_client(superuser).get(f"/admin/alerts/channel/{channel.pk}/change/")
    assert text.status_code == 200
    assert channel.sealed_address not in text.content.decode()
