"""Tables of hosts and their enrolment."""

from agents.models.agent import Agent
from agents.models.enrolment import EnrolmentToken
from agents.models.release import HostRelease, Rollout, RolloutHost

__all__ = ["Agent", "EnrolmentToken", "HostRelease", "Rollout", "RolloutHost"]
