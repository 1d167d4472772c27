"""The packages of plug-ins: list, upload, delete."""

from __future__ import annotations

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from agent_client.protocol.plugin_package import MAX_PACKAGE_BYTES
from agents.plugins.forms import UploadForm
from agents.plugins.models import PluginPackage
from agents.plugins.packages import delete_package, upload_package
from agents.views.access import allowed
from dialer_platform.accounts.permissions import can
from dialer_platform.console.htmx import acted, answers_errors, go_to, render_page
from dialer_platform.errors import DomainError, NotFound


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def package_list(request: HttpRequest) -> HttpResponse:
    """Show the tenant's packages, or take a new one."""
    is_upload = request.method == "POST"
    principal = allowed(request, "plugin.upload" if is_upload else "plugin.view")
    form = UploadForm(request.POST, request.FILES) if is_upload else UploadForm()
    if is_upload and form.is_valid():
        try:
            package = upload_package(
                tenant_id=principal.tenant_id,
                # One byte more than allowed is enough to be refused.
                data=form.cleaned_data["file"].read(MAX_PACKAGE_BYTES + 1),
                signature=form.cleaned_data["signature"],
                by=principal,
            )
        except DomainError as error:
            form.add_domain_error(error)
        else:
            note = _("%(package)s is there.") % {"package": package}
            return go_to(request, reverse("agents:plugin-packages"), note=note)
    rows = PluginPackage.objects.filter(tenant_id=principal.tenant_id)
    context = {
        "packages": rows.annotate(hosts=Count("uses")),
        "form": form,
        "may_upload": can(principal, "plugin.upload"),
    }
    return render_page(
        request,
        "plugins/package_list.html",
        context,
        fragment="plugins/_package_list.html",
        status=422 if is_upload else 200,
    )


@require_POST
@answers_errors
def delete(request: HttpRequest, package_id: int) -> HttpResponse:
    """Delete a package that no host is to run."""
    principal = allowed(request, "plugin.upload")
    package = PluginPackage.objects.filter(tenant_id=principal.tenant_id, pk=package_id).first()
    if package is None:
        raise NotFound(_("There is no such package."))
    name = str(package)
    delete_package(package, by=principal)
    back = reverse("agents:plugin-packages")
    return acted(request, _("%(package)s is deleted.") % {"package": name}, back=back)
