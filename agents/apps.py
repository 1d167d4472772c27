"""App configuration: Hosts: enrolment, credentials, heartbeats and delivery of messages."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Hosts: enrolment, credentials, heartbeats and delivery of messages."""

    name = "agents"
    label = "agents"
    verbose_name = "Agents"
