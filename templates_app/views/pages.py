"""The list of templates and the form that makes or changes one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import answers_errors, go_to, render_page
from dialer_platform.errors import DomainError, Forbidden, NotFound
from templates_app.filters import TemplateFilter
from templates_app.forms import TemplateForm
from templates_app.models import Template
from templates_app.services.templates import create_template, delete_template, update_template

LIST_URL = "/templates/"


@require_safe
@answers_errors
def template_list(request: HttpRequest) -> HttpResponse:
    """Show the templates of the tenant by name."""
    principal = allowed(request, "template.view")
    visible = Template.objects.visible_to(principal).select_related("created_by")
    found = TemplateFilter(request.GET, queryset=visible.order_by("name")).qs
    context = {"templates": found, "words": request.GET.get("q", "")}
    return render_page(
        request, "templates_app/template_list.html", context, fragment="templates_app/_list.html"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def new_template(request: HttpRequest) -> HttpResponse:
    """Show the empty form, or make a template from it."""
    principal = allowed(request, "template.create")
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            template = create_template(by=principal, tenant=principal.tenant, **form.cleaned_data)
            return go_to(request, LIST_URL, note=_("%s is saved.") % template.name)
        except DomainError as error:
            form.add_domain_error(error)
    return form_answer(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def edit_template(request: HttpRequest, template_id: int) -> HttpResponse:
    """Show a template, or change it; who may not change it only reads."""
    template = template_for(request, template_id, "template.view")
    if request.method != "POST":
        initial = {name: getattr(template, name) for name in TemplateForm.base_fields}
        return form_answer(request, TemplateForm(initial=initial), template)
    principal = allowed(request, "template.change")
    form = TemplateForm(request.POST)
    if form.is_valid():
        try:
            update_template(template, by=principal, **form.cleaned_data)
            return go_to(request, LIST_URL, note=_("%s is saved.") % template.name)
        except DomainError as error:
            form.add_domain_error(error)
            template.refresh_from_db()
    return form_answer(request, form, template)


@require_POST
@answers_errors
def remove_template(request: HttpRequest, template_id: int) -> HttpResponse:
    """Delete a template."""
    template = template_for(request, template_id, "template.delete")
    delete_template(template, by=principal_of(request))
    return go_to(request, LIST_URL, note=_("%s is deleted.") % template.name)


def form_answer(
    request: HttpRequest, form: TemplateForm, template: Template | None
) -> HttpResponse:
    """Answer with the form: 422 when something in it is wrong."""
    context = {"form": form, "template": template}
    return render_page(
        request,
        "templates_app/template_form.html",
        context,
        fragment="templates_app/_form.html",
        status=422 if form.is_bound else 200,
    )


def allowed(request: HttpRequest, action: str) -> Principal:
    """Return the principal if its role allows the action; raises Forbidden."""
    principal = principal_of(request)
    if not can(principal, action):
        raise Forbidden(_("Your role does not allow this."))
    return principal


def template_for(request: HttpRequest, template_id: int, action: str) -> Template:
    """Return a template of the tenant; raises NotFound, Forbidden."""
    principal = principal_of(request)
    template: Template | None = (
        Template.objects.visible_to(principal).filter(pk=template_id).first()
    )
    if template is None:
        raise NotFound(_("There is no such template."))
    if not can(principal, action, template):
        raise Forbidden(_("Your role does not allow this."))
    return template
