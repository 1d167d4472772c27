"""A person's own API tokens: list, make, revoke."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dialer_platform.accounts.choices import Scope
from dialer_platform.accounts.models import ApiToken
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.accounts.services import tokens
from dialer_platform.errors import Forbidden

LONGEST_LIFE_DAYS = 3650


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """What may be seen of a token: everything but its secret."""

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            *("id", "public_id", "name", "scope", "tenant"),
            *("created_at", "expires_at", "last_used_at", "revoked_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class NewTokenSerializer(serializers.Serializer[Any]):
    """What a person says about a token they want."""

    name = serializers.CharField(max_length=100, allow_blank=True, default="")
    scope = serializers.ChoiceField(choices=Scope.choices, default=Scope.ADMIN.value)
    life_days = serializers.IntegerField(
        min_value=1, max_value=LONGEST_LIFE_DAYS, default=tokens.DEFAULT_LIFE_DAYS
    )


class ShownTokenSerializer(TokenSerializer):
    """The answer to making a token, the only one that holds its text."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class RevokedSerializer(serializers.Serializer[Any]):
    """How many tokens were in force until now."""

    revoked = serializers.IntegerField()


class TokenViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ApiToken]
):
    """The caller's own tokens in the tenant they act in; DELETE revokes."""

    actions = dict.fromkeys(("list", "retrieve", "create", "destroy", "revoke_all"), "token.own")
    serializer_class = TokenSerializer
    queryset = ApiToken.objects.none()
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the caller's tokens, newest first."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        principal = principal_of(self.request)
        return ApiToken.objects.owned_by(principal.user, tenant=principal.tenant)

    @extend_schema(request=NewTokenSerializer, responses={201: ShownTokenSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a token and show it this once."""
        principal = full_principal(request)
        wanted = NewTokenSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        token, text = tokens.create_token(
            user=principal.user, tenant=principal.tenant, by=principal, **wanted.validated_data
        )
        token.token = text  # type: ignore[attr-defined]
        return Response(ShownTokenSerializer(token).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a token."""
        tokens.revoke_token(self.get_object(), by=full_principal(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=RevokedSerializer)
    @action(detail=False, methods=["post"])
    def revoke_all(self, request: Request) -> Response:
        """Revoke all of the caller's tokens, the one that asks included."""
        principal = full_principal(request)
        count = tokens.revoke_all_tokens(principal.user, by=principal)
        return Response({"revoked": count})


def full_principal(request: Request) -> Principal:
    """Return the caller; raises Forbidden for a token that was narrowed when it was made."""
    principal = principal_of(request)
    if principal.token_scope not in (None, Scope.ADMIN):
        raise Forbidden(_("A narrowed token cannot make or revoke tokens."))
    return principal
