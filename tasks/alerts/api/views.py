"""REST of channels and rules (full CRUD), of alerts and deliveries (to read)."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet, ReadOnlyModelViewSet

from dialer_platform.accounts.principal import principal_of
from tasks.alerts.api.serializers import (
    AlertSerializer,
    ChannelSerializer,
    DeliverySerializer,
    RuleSerializer,
)
from tasks.alerts.filters import AlertFilter, DeliveryFilter
from tasks.alerts.models import Alert, Channel, Delivery, Rule
from tasks.alerts.services import channels, outbox, rules

MANAGE = {
    "list": "alert.view",
    "retrieve": "alert.view",
    "create": "alert.manage",
    "update": "alert.manage",
    "partial_update": "alert.manage",
    "destroy": "alert.manage",
}
READ = {"list": "alert.view", "retrieve": "alert.view"}


class ChannelViewSet(ModelViewSet[Channel]):
    """Where notices go. The address is never answered, only its hint."""

    queryset = Channel.objects.none()
    serializer_class = ChannelSerializer
    lookup_value_regex = "[0-9]{1,18}"
    actions = {**MANAGE, "test": "alert.manage"}

    def get_queryset(self) -> QuerySet[Channel]:
        """Return the channels of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Channel.objects.none()
        return Channel.objects.visible_to(principal_of(self.request)).order_by("-id")

    def perform_create(self, serializer: BaseSerializer[Channel]) -> None:
        """Create by the service."""
        serializer.instance = channels.create_channel(
            by=principal_of(self.request), fields=serializer.validated_data
        )

    def perform_update(self, serializer: BaseSerializer[Channel]) -> None:
        """Change by the service."""
        serializer.instance = channels.update_channel(
            self.get_object(), by=principal_of(self.request), fields=serializer.validated_data
        )

    def perform_destroy(self, instance: Channel) -> None:
        """Delete by the service."""
        channels.delete_channel(instance, by=principal_of(self.request))

    @extend_schema(request=None, responses={202: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Send a test message; the answer is its delivery, which says later how it went."""
        delivery = channels.test_channel(self.get_object(), by=principal_of(request))
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


class RuleViewSet(ModelViewSet[Rule]):
    """What is told to whom."""

    queryset = Rule.objects.none()
    serializer_class = RuleSerializer
    lookup_value_regex = "[0-9]{1,18}"
    actions = MANAGE

    def get_queryset(self) -> QuerySet[Rule]:
        """Return the rules of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Rule.objects.none()
        rows = Rule.objects.visible_to(principal_of(self.request))
        return rows.prefetch_related("channels").order_by("-id")

    def perform_create(self, serializer: BaseSerializer[Rule]) -> None:
        """Create by the service."""
        serializer.instance = rules.create_rule(
            by=principal_of(self.request), fields=serializer.validated_data
        )

    def perform_update(self, serializer: BaseSerializer[Rule]) -> None:
        """Change by the service."""
        serializer.instance = rules.update_rule(
            self.get_object(), by=principal_of(self.request), fields=serializer.validated_data
        )

    def perform_destroy(self, instance: Rule) -> None:
        """Delete by the service."""
        rules.delete_rule(instance, by=principal_of(self.request))


class AlertViewSet(ReadOnlyModelViewSet[Alert]):
    """Problems that rules noticed, newest first; `?open=1` leaves those that last."""

    queryset = Alert.objects.none()
    serializer_class = AlertSerializer
    lookup_value_regex = "[0-9]{1,18}"
    filterset_class = AlertFilter
    actions = READ

    def get_queryset(self) -> QuerySet[Alert]:
        """Return the alerts of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Alert.objects.none()
        rows = Alert.objects.visible_to(principal_of(self.request)).order_by("-id")
        is_open = self.request.query_params.get("open") == "1"
        return rows.filter(closed_at=None) if is_open else rows


class DeliveryViewSet(ReadOnlyModelViewSet[Delivery]):
    """The log of what was sent, newest first."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    lookup_value_regex = "[0-9]{1,18}"
    filterset_class = DeliveryFilter
    actions = {**READ, "retry": "alert.manage"}

    def get_queryset(self) -> QuerySet[Delivery]:
        """Return the deliveries of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        return Delivery.objects.visible_to(principal_of(self.request)).order_by("-id")

    @extend_schema(request=None, responses={202: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Try a failed delivery again."""
        delivery = self.get_object()
        outbox.retry(delivery, timezone.now())
        delivery.refresh_from_db()
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)
