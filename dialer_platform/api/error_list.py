"""The catalogue of error codes over REST: what each means and what to do."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dialer_platform.console.error_help import explained


class ErrorCodeSerializer(serializers.Serializer[Any]):
    """One code, in the language of the reader."""

    code = serializers.CharField()
    meaning = serializers.CharField()
    remedy = serializers.CharField()


class ErrorListView(APIView):
    """All error codes of API, agents and agent messages."""

    actions = {"get": "overview.view"}

    @extend_schema(responses=ErrorCodeSerializer(many=True), tags=["errors"])
    def get(self, request: Request) -> Response:
        """Return every code with its meaning and remedy."""
        return Response(ErrorCodeSerializer(explained(), many=True).data)
