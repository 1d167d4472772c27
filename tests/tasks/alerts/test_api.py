"""REST of the alerts."""

from __future__ import annotations

import pytest

from tasks.alerts.models import Channel, Delivery, Rule

CHANNELS = "/api/v1/alerts/channels/"
RULES = "/api/v1/alerts/rules/"
SECRET_URL = "https://hooks.slack.com/services/T/B/topsecret"


@pytest.fixture
def admin(api_client, admin_user):
    """The administrator's client."""
    return api_client(admin_user)


def test_channel_is_created_and_its_address_never_answered(admin) -> None:
    answer = admin.post(CHANNELS, {"name": "ops", "address": SECRET_URL}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert (body["kind"], body["hint"]) == ("slack", "https://hooks.slack.com/…")
    assert "topsecret" not in admin.get(CHANNELS).content.decode()


def test_address_is_sealed_in_the_database(admin) -> None:
    admin.post(CHANNELS, {"name": "ops", "address": SECRET_URL}, format="json")
    assert "topsecret" not in Channel.objects.get().sealed_address


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "", "address": SECRET_URL}, "name"),
        ({"name": "a"}, "address"),
        ({"name": "a", "address": "ftp://x"}, "address"),
        ({"name": "a", "address": "https://u:p@x.example/"}, "address"),
        ({"name": "a", "address": "http://x:99999/"}, "address"),
        ({"name": "a", "kind": "email", "address": "nobody"}, "address"),
        ({"name": "a", "kind": "pigeon", "address": SECRET_URL}, "kind"),
    ],
)
def test_wrong_channel_names_its_field(admin, fields, wrong) -> None:
    answer = admin.post(CHANNELS, fields, format="json")
    assert answer.status_code == 400
    assert wrong in answer.json()["fields"]


def test_name_of_a_channel_is_unique(admin, channel) -> None:
    answer = admin.post(CHANNELS, {"name": "ops", "address": SECRET_URL}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def test_empty_address_keeps_the_old_one(admin, channel) -> None:
    before = channel.sealed_address
    answer = admin.patch(f"{CHANNELS}{channel.pk}/", {"name": "night"}, format="json")
    channel.refresh_from_db()
    assert (answer.status_code, channel.name, channel.sealed_address) == (200, "night", before)


def test_other_kind_needs_its_address(admin, channel) -> None:
    answer = admin.patch(f"{CHANNELS}{channel.pk}/", {"kind": "email"}, format="json")
    assert "address" in answer.json()["fields"]


def test_test_message_is_put_into_the_outbox(admin, channel) -> None:
    answer = admin.post(f"{CHANNELS}{channel.pk}/test/")
    assert answer.status_code == 202
    assert Delivery.objects.get().pk == answer.json()["id"]


def test_rule_has_useful_defaults(admin, channel) -> None:
    answer = admin.post(RULES, {"name": "all", "channels": [channel.pk]}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body["events"]) >= {"probe_down", "agent_lost", "task_failed"}
    assert (body["group_seconds"], body["tells_recovery"]) == (5, True)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"events": ["earthquake"]}, "events.0"),
        ({"events": []}, "events"),
        ({"renotify_seconds": 5}, "renotify_seconds"),
        ({"group_seconds": 99_999}, "group_seconds"),
        ({"certificate_days": 0}, "certificate_days"),
        ({"language": "tlh"}, "language"),
        ({"labels": {str(number): "x" for number in range(21)}}, "labels"),
        ({"channels": [12345]}, "channels"),
    ],
)
def test_wrong_rule_names_its_field(admin, fields, wrong) -> None:
    answer = admin.post(RULES, {"name": "r", **fields}, format="json")
    assert answer.status_code == 400
    assert wrong in answer.json()["fields"]


def test_rule_may_not_use_a_foreign_channel(api_client, stranger, channel) -> None:
    answer = api_client(stranger).post(
        RULES, {"name": "r", "channels": [channel.pk]}, format="json"
    )
    assert answer.status_code == 400
    assert not Rule.objects.filter(tenant_id="other").exists()


@pytest.mark.parametrize("path", ["channels/{c}/", "rules/{r}/", "deliveries/{d}/"])
def test_stranger_finds_nothing(api_client, stranger, admin, rule, channel, path) -> None:
    admin.post(f"{CHANNELS}{channel.pk}/test/")
    place = path.format(c=channel.pk, r=rule.pk, d=Delivery.objects.get().pk)
    client = api_client(stranger)
    assert client.get(f"/api/v1/alerts/{place}").status_code == 404
    assert client.get(f"/api/v1/alerts/{path.split('/')[0]}/").json()["count"] == 0


def test_viewer_reads_and_changes_nothing(api_client, viewer_user, channel) -> None:
    client = api_client(viewer_user)
    assert client.get(CHANNELS).status_code == 200
    assert client.post(CHANNELS, {"name": "x"}).status_code == 403
    assert client.post(f"{CHANNELS}{channel.pk}/test/").status_code == 403
    assert client.delete(f"{CHANNELS}{channel.pk}/").status_code == 403


def test_rule_and_channel_are_deleted(admin, rule, channel) -> None:
    assert admin.delete(f"{CHANNELS}{channel.pk}/").status_code == 204
    assert admin.delete(f"{RULES}{rule.pk}/").status_code == 204


def test_failed_delivery_is_retried(admin, channel) -> None:
    number = admin.post(f"{CHANNELS}{channel.pk}/test/").json()["id"]
    Delivery.objects.update(state="failed")
    answer = admin.post(f"/api/v1/alerts/deliveries/{number}/retry/")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")


def test_open_alerts_are_told_apart(admin, rule, wrong, problem) -> None:
    from tasks.alerts.services.evaluate import evaluate

    wrong.append(problem())
    evaluate()
    assert admin.get("/api/v1/alerts/?open=1").json()["count"] == 1
    wrong.clear()
    evaluate()
    assert admin.get("/api/v1/alerts/?open=1").json()["count"] == 0
    assert admin.get("/api/v1/alerts/").json()["count"] == 1


@pytest.mark.parametrize("place", ["", "rules/", "deliveries/"])
def test_names_of_another_tenant_are_on_no_page_of_the_api(
    api_client, stranger, rule, channel, place
) -> None:
    Rule.objects.update(name="their secret")
    Channel.objects.update(name="their secret")
    answer = api_client(stranger).get(f"/api/v1/alerts/{place}", HTTP_ACCEPT="text/html")
    assert answer.status_code == 200
    assert "their secret" not in answer.content.decode()


@pytest.mark.parametrize("query", ["?rule={r}", "deliveries/?rule={r}", "deliveries/?channel={c}"])
def test_filter_does_not_tell_a_foreign_row_from_a_missing_one(
    api_client, stranger, rule, channel, query
) -> None:
    client = api_client(stranger)
    foreign = client.get("/api/v1/alerts/" + query.format(r=rule.pk, c=channel.pk))
    missing = client.get("/api/v1/alerts/" + query.format(r=99_999, c=99_999))
    assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())


def test_rule_names_a_foreign_channel_like_a_missing_one(api_client, stranger, channel) -> None:
    client = api_client(stranger)
    told = [
        client.post(RULES, {"name": "r", "channels": [number]}, format="json").json()["detail"]
        for number in (channel.pk, 99_999)
    ]
    assert told[0].replace(str(channel.pk), "") == told[1].replace("99999", "")


@pytest.mark.parametrize("number", ["1e30", "9223372036854775808", "NaN", "x"])
@pytest.mark.parametrize("query", ["?rule=", "deliveries/?rule=", "deliveries/?channel="])
def test_number_that_is_no_id_is_refused(admin, query, number) -> None:
    answer = admin.get(f"/api/v1/alerts/{query}{number}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
