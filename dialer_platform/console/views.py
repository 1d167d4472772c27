"""The console's own pages: overview, sidebar, search."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from dialer_platform.accounts.principal import principal_of
from dialer_platform.console import context, error_help, extension, search
from dialer_platform.console.htmx import render_fragment, render_page


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show what needs attention, what runs, what waits and why, and what ended."""
    principal = principal_of(request)
    variables = {
        "stats": extension.panels_for(extension.OVERVIEW_STATS, principal),
        "attention": extension.panels_for(extension.OVERVIEW_ATTENTION, principal),
        "panels": extension.panels_for(extension.OVERVIEW_MAIN, principal),
    }
    return render_page(
        request, "console/overview.html", variables, fragment="console/_overview.html"
    )


@require_safe
def nav(request: HttpRequest) -> HttpResponse:
    """Answer the entries of the sidebar with fresh counts, for the page at ?path=."""
    path = request.GET.get("path", "/")
    variables = {"nav": context.nav_entries(principal_of(request), path), "path": path}
    return render_fragment(request, "console/_nav.html", variables)


@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """Send to the mark: browsers ask here on pages without a link to it, such as JSON."""
    return HttpResponseRedirect(static("img/mark.svg"))


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Show what the words ?q= find: as a page, or as the list under the search field."""
    words = request.GET.get("q", "").strip()[: search.MAX_CHARACTERS]
    is_page = request.headers.get("HX-Request") != "true"
    limit = search.PAGE_HITS if is_page else search.MENU_HITS
    groups = search.find(principal_of(request), words, limit=limit)
    variables = {"words": words, "groups": groups, "is_empty": bool(words) and not groups}
    return render_page(
        request, "console/search.html", variables, fragment="console/_search_results.html"
    )


@require_safe
def errors(request: HttpRequest) -> HttpResponse:
    """Explain the error codes that hold the words ?q=, all without words."""
    words = request.GET.get("q", "").strip()[: search.MAX_CHARACTERS]
    variables = {"words": words, "errors": error_help.explained(words)}
    return render_page(request, "console/errors.html", variables, fragment="console/_errors.html")
