# mypy: disable-error-code="type-arg"
"""People, tenants, tokens and the audit trail in the admin.

Secrets are never shown, the audit trail can only be read, and every change goes through
the same services as everywhere else.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import (
    ApiToken,
    AuditEvent,
    LoginAttempts,
    Membership,
    Tenant,
    User,
)
from dialer_platform.accounts.principal import principal_of
from dialer_platform.accounts.services import audit, tokens
from dialer_platform.errors import Conflict

ROLE_TONES = {Role.ADMIN: "running", Role.OPERATOR: "done", Role.VIEWER: "quiet"}

admin.site.unregister(Group)  # Roles are memberships; groups would be a second, unused way.


def badge(tone: str, label: object) -> SafeString:
    """Return a badge in one of the console's tones."""
    return format_html('<span class="badge tone-{}"><span>{}</span></span>', tone, label)


class ReadOnlyAdmin(admin.ModelAdmin):
    """A table that machines write and people read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes rows by hand."""
        return False


class MembershipInline(admin.TabularInline):
    """The roles of a person."""

    model = Membership
    extra = 0
    autocomplete_fields = ("tenant",)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """People and their roles."""

    list_display = ("username", "roles", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "memberships__role", "memberships__tenant")
    search_fields = ("username", "email", "first_name", "last_name")
    inlines = (MembershipInline,)
    actions = ("revoke_tokens",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (
            None,
            {
                "fields": ("username", "password"),
                "description": _(
                    "A new password ends all sessions. API tokens stay in force: end them with "
                    "“Revoke all API tokens” in the list of people."
                ),
            },
        ),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "language")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_("History"), {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return people with their roles in one more query, not one per row."""
        return super().get_queryset(request).prefetch_related("memberships__tenant")

    @admin.action(
        description=_("Revoke all API tokens of the chosen people"), permissions=["change"]
    )
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End every token of each chosen person."""
        by = principal_of(request)
        revoked = sum(tokens.revoke_all_tokens(user, by=by) for user in queryset)
        messages.success(request, _("%d tokens revoked.") % revoked)

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> SafeString:
        """Return a badge per tenant."""
        badges = [
            badge(ROLE_TONES[Role(member.role)], f"{member.tenant.name}: {Role(member.role).label}")
            for member in user.memberships.all()
        ]
        return format_html_join(" ", "{}", ((one,) for one in badges))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People are disabled, not deleted: their tasks and audit entries stay."""
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save roles and record who changed a person."""
        super().save_related(request, form, formsets, change)
        action = "user.changed" if change else "user.created"
        detail = {"fields": list(form.changed_data)}
        audit.record(principal_of(request), action, form.instance, detail)


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin):
    """Tenants; an id never changes once rows point to it."""

    list_display = ("name", "id", "created_at")
    search_fields = ("id", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str]:
        """Keep the id of an existing tenant."""
        return ("created_at", "id") if obj else ("created_at",)  # type: ignore[return-value]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A tenant with all its history is not deleted by a click."""
        return False

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        """Save and record who did it."""
        super().save_model(request, obj, form, change)
        action = "tenant.changed" if change else "tenant.created"
        audit.record(principal_of(request), action, obj, tenant_id=obj.id)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    """Who belongs where."""

    list_display = ("user", "tenant", "role_badge", "created_at")
    list_filter = ("role", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "tenant__name")
    autocomplete_fields = ("user", "tenant")

    @admin.display(description=_("role"), ordering="role")
    def role_badge(self, membership: Membership) -> SafeString:
        """Return the role as a badge."""
        role = Role(membership.role)
        return badge(ROLE_TONES[role], role.label)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Save and record the role."""
        super().save_model(request, obj, form, change)
        detail = {"user": obj.user.get_username(), "role": obj.role}
        audit.record(principal_of(request), "membership.changed", obj, detail)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Delete and record whose role ended."""
        detail = {"user": obj.user.get_username(), "role": obj.role}
        audit.record(principal_of(request), "membership.removed", obj, detail)
        super().delete_model(request, obj)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens of people; made by their owners, revoked by anybody here."""

    list_display = ("__str__", "user", "tenant", "scope", "state", "created_at", "last_used_at")
    list_filter = ("scope", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("public_id", "user__username", "name")
    exclude = ("secret_sha256",)
    actions = ("revoke",)

    @admin.display(description=_("state"))
    def state(self, token: ApiToken) -> SafeString:
        """Return whether the token works."""
        return badge("quiet", _("revoked")) if token.revoked_at else badge("done", _("active"))

    @admin.action(description=_("Revoke the chosen tokens"), permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke each chosen token that is not revoked yet."""
        revoked = 0
        for token in queryset:
            try:
                tokens.revoke_token(token, by=principal_of(request))
            except Conflict:
                continue  # Somebody was first; the wish is fulfilled.
            revoked += 1
        messages.success(request, _("%d tokens revoked.") % revoked)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what; append-only."""

    list_display = ("at", "actor", "action", "object_type", "object_id", "tenant", "address")
    list_filter = ("action", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("actor", "action", "object_id", "address")
    date_hierarchy = "at"


@admin.register(LoginAttempts)
class LoginAttemptsAdmin(ReadOnlyAdmin):
    """Accounts and addresses that failed to sign in; deleting a row lifts a lock."""

    list_display = ("key", "count", "window_started_at")
    search_fields = ("key",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may enter the admin may lift a lock."""
        return self.has_view_permission(request, obj)
