"""Paths of the hosts' REST."""

from rest_framework.routers import SimpleRouter

from agents.api.rollouts import RolloutViewSet
from agents.api.views import AgentViewSet

router = SimpleRouter()
# First: below, "rollouts" would be the id of a host.
router.register("agents/rollouts", RolloutViewSet, basename="api-rollout")
router.register("agents", AgentViewSet, basename="api-agent")
urlpatterns = router.urls
