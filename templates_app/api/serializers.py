"""Shape of templates in REST; the services validate what is written."""

from __future__ import annotations

from rest_framework import serializers

from templates_app.models import Template
from templates_app.models.template import ScriptType


class TemplateSerializer(serializers.ModelSerializer[Template]):
    """A script template."""

    name = serializers.CharField(max_length=100)
    script_type = serializers.ChoiceField(choices=ScriptType.choices, required=False)
    script_content = serializers.CharField(
        trim_whitespace=False, style={"base_template": "textarea.html"}
    )
    created_by = serializers.SlugRelatedField[Template](
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = Template
        fields = (
            "id",
            "name",
            "script_type",
            "script_content",
            "description",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("created_at", "updated_at")
