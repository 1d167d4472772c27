"""The alerts page, the forms of channels and rules, and what a person does to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import acted, answers_errors, go_to, render_page
from dialer_platform.errors import DomainError, Forbidden, NotFound
from tasks.alerts.forms import ChannelForm, RuleForm, ServiceForm, initial_of
from tasks.alerts.models import Alert, Channel, Delivery, Rule
from tasks.alerts.services import channels, outbox, rules

HOME = "/alerts/"
SHOWN_DELIVERIES = 50
SHOWN_ALERTS = 100
M = TypeVar("M", Channel, Rule, Delivery)


@require_safe
@answers_errors
def home(request: HttpRequest) -> HttpResponse:
    """Show what is wrong now, the rules, the channels and the newest messages."""
    principal = allowed(request, "alert.view")
    deliveries = Delivery.objects.visible_to(principal).select_related("channel", "rule")
    alerts = Alert.objects.visible_to(principal).select_related("rule")
    context = {
        "alerts": alerts.filter(closed_at=None).order_by("-id")[:SHOWN_ALERTS],
        "rules": Rule.objects.visible_to(principal).prefetch_related("channels"),
        "channels": Channel.objects.visible_to(principal),
        "deliveries": deliveries.order_by("-id")[:SHOWN_DELIVERIES],
    }
    return render_page(request, "alerts/alerts.html", context, fragment="alerts/_alerts.html")


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def new_channel(request: HttpRequest) -> HttpResponse:
    """Show the empty form, or make a channel from it."""
    principal = allowed(request, "alert.manage")
    form = ChannelForm(request.POST or None)
    if _is_saved(form, lambda data: channels.create_channel(by=principal, fields=data)):
        return go_to(request, HOME, note=_("%s is saved.") % form.cleaned_data["name"])
    return _form_page(request, form, _("New channel"))


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def edit_channel(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Show a channel without its secrets, or change it."""
    channel = found(request, Channel, channel_id)
    initial = {name: getattr(channel, name) for name in ("name", "kind", "is_enabled")}
    form = ChannelForm(request.POST or None, initial=initial)
    form.fields["address"].help_text = _("Now %s; empty keeps it.") % channel.hint
    by = principal_of(request)
    if _is_saved(form, lambda data: channels.update_channel(channel, by=by, fields=data)):
        return go_to(request, HOME, note=_("%s is saved.") % form.cleaned_data["name"])
    return _form_page(request, form, channel.name)


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def new_rule(request: HttpRequest) -> HttpResponse:
    """Show a rule with useful defaults, or make one."""
    principal = allowed(request, "alert.manage")
    own = Channel.objects.visible_to(principal)
    form = RuleForm(
        request.POST or None,
        channels=own,
        initial={"channels": list(own), "language": get_language()},
    )
    if _is_saved(form, lambda data: rules.create_rule(by=principal, fields=data)):
        return go_to(request, HOME, note=_("%s is saved.") % form.cleaned_data["name"])
    return _form_page(request, form, _("New rule"))


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def edit_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Show a rule, or change it."""
    rule, by = found(request, Rule, rule_id), principal_of(request)
    own = Channel.objects.visible_to(by)
    form = RuleForm(request.POST or None, channels=own, initial=initial_of(rule))
    if _is_saved(form, lambda data: rules.update_rule(rule, by=by, fields=data)):
        return go_to(request, HOME, note=_("%s is saved.") % form.cleaned_data["name"])
    return _form_page(request, form, rule.name)


@require_POST
@answers_errors
def test(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Send a test message."""
    channel = found(request, Channel, channel_id)
    channels.test_channel(channel, by=principal_of(request))
    return acted(request, _("A test message is on its way; see below how it went."), back=HOME)


@require_POST
@answers_errors
def remove_channel(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Delete a channel."""
    channel = found(request, Channel, channel_id)
    channels.delete_channel(channel, by=principal_of(request))
    return acted(request, _("%s is deleted.") % channel.name, back=HOME)


@require_POST
@answers_errors
def remove_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Delete a rule."""
    rule = found(request, Rule, rule_id)
    rules.delete_rule(rule, by=principal_of(request))
    return acted(request, _("%s is deleted.") % rule.name, back=HOME)


@require_POST
@answers_errors
def retry(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Try a failed delivery again."""
    outbox.retry(found(request, Delivery, delivery_id), timezone.now())
    return acted(request, _("It is tried again."), back=HOME)


def _is_saved(form: ServiceForm, save: Callable[[dict[str, Any]], object]) -> bool:
    """Save what was posted; what the service refuses is shown in the form."""
    if not form.is_bound or not form.is_valid():
        return False
    try:
        save(form.cleaned_data)
    except DomainError as error:
        form.add_domain_error(error)
        return False
    return True


def _form_page(request: HttpRequest, form: ServiceForm, title: str) -> HttpResponse:
    """Answer with the form: 422 when something in it is wrong."""
    context = {"form": form, "title": title}
    status = 422 if form.is_bound else 200
    return render_page(
        request, "alerts/form.html", context, fragment="alerts/_form.html", status=status
    )


def allowed(request: HttpRequest, action: str) -> Principal:
    """Return the principal if its role allows the action; raises Forbidden."""
    principal = principal_of(request)
    if not can(principal, action):
        raise Forbidden(_("Your role does not allow this."))
    return principal


def found(request: HttpRequest, model: type[M], number: int) -> M:
    """Return a row of the tenant that the person may change; raises NotFound, Forbidden."""
    rows: models.QuerySet[M] = model._default_manager.filter(
        tenant_id=principal_of(request).tenant_id, pk=number
    )
    row = rows.first()
    if row is None:
        raise NotFound(_("There is no such entry."))
    allowed(request, "alert.manage")
    return row
