"""Paths of the alerts' REST."""

from rest_framework.routers import SimpleRouter

from tasks.alerts.api.views import AlertViewSet, ChannelViewSet, DeliveryViewSet, RuleViewSet

router = SimpleRouter()
router.register("alerts/channels", ChannelViewSet, basename="api-alert-channel")
router.register("alerts/rules", RuleViewSet, basename="api-alert-rule")
router.register("alerts/deliveries", DeliveryViewSet, basename="api-alert-delivery")
router.register("alerts", AlertViewSet, basename="api-alert")
urlpatterns = router.urls
