"""Tables of hosts and their enrolment."""

from agents.models.agent import Agent
from agents.models.enrolment import EnrolmentToken

__all__ = ["Agent", "EnrolmentToken"]
