"""REST paths of accounts."""

from rest_framework.routers import SimpleRouter

from dialer_platform.accounts.api.tokens import TokenViewSet

router = SimpleRouter()
router.register("tokens", TokenViewSet, basename="api-token")
urlpatterns = router.urls
