"""What an alert can be about, how it can be sent, and the states of a delivery."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Event(TextChoices):
    """What a rule may watch. Recovery is no event: it is the end of one."""

    PROBE_DOWN = "probe_down", _("Probe down")
    PROBE_DEGRADED = "probe_degraded", _("Probe degraded")
    PROBE_UNKNOWN = "probe_unknown", _("Probe without results")
    CERTIFICATE = "certificate", _("Certificate expires")
    AGENT_LOST = "agent_lost", _("Agent lost")
    TASK_FAILED = "task_failed", _("Task failed")


class ChannelKind(TextChoices):
    """The services a notice can go to."""

    WEBHOOK = "webhook", _("Webhook (JSON)")
    EMAIL = "email", _("E-mail")
    SLACK = "slack", _("Slack and compatible")
    FEISHU = "feishu", _("Feishu / Lark")
    DINGTALK = "dingtalk", _("DingTalk")
    WECOM = "wecom", _("WeCom")


class DeliveryState(TextChoices):
    """Where one delivery stands; the last three are final."""

    PENDING = "pending", _("waiting")
    SENDING = "sending", _("being sent")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")
    DROPPED = "dropped", _("dropped")


DELIVERY_TONES: dict[str, str] = {
    DeliveryState.PENDING: "waiting",
    DeliveryState.SENDING: "running",
    DeliveryState.DELIVERED: "completed",
    DeliveryState.FAILED: "failed",
    DeliveryState.DROPPED: "canceled",
}


class NoticeKind(TextChoices):
    """Why a notice is sent."""

    FIRED = "fired", _("New")
    REMINDER = "reminder", _("Still")
    RECOVERED = "recovered", _("Recovered")
    TEST = "test", _("Test")
