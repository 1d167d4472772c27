"""Models of the alerts."""

from tasks.alerts.models.alert import Alert
from tasks.alerts.models.channel import Channel
from tasks.alerts.models.delivery import Delivery
from tasks.alerts.models.rule import Rule

__all__ = ["Alert", "Channel", "Delivery", "Rule"]
