"""Paths of the agent pages."""

from __future__ import annotations

from django.urls import path

from agents.plugins.pages import host as plugins
from agents.plugins.pages import packages as plugin_packages
from agents.views import actions, detail, enrolment, listing, rollouts, standing

app_name = "agents"
urlpatterns = [
    path("", listing.agent_list, name="list"),
    path("enrol/", enrolment.enrol, name="enrol"),
    path("enrol/<slug:public_id>/", enrolment.enrolment_state, name="enrolment"),
    path("plugin-packages/", plugin_packages.package_list, name="plugin-packages"),
    path(
        "plugin-packages/<int:package_id>/delete/",
        plugin_packages.delete,
        name="plugin-package-delete",
    ),
    path("rollouts/", rollouts.rollout_list, name="rollouts"),
    path("rollouts/<int:rollout_id>/<slug:verb>/", rollouts.act, name="rollout-act"),
    path("<slug:agent_id>/upgrade/", rollouts.upgrade, name="upgrade"),
    path("<slug:agent_id>/", detail.agent_detail, name="detail"),
    path("<slug:agent_id>/plugins/", plugins.plugin_list, name="plugins"),
    path("<slug:agent_id>/plugins/activate/", plugins.activate_all, name="plugins-activate"),
    path("<slug:agent_id>/plugins/<slug:name>/", plugins.plugin_form, name="plugin"),
    path("<slug:agent_id>/plugins/<slug:name>/switch/", plugins.switch, name="plugin-switch"),
    path("<slug:agent_id>/plugins/<slug:name>/remove/", plugins.remove, name="plugin-remove"),
    path("<slug:agent_id>/change/", detail.change, name="change"),
    path("<slug:agent_id>/drain/", standing.stand, {"verb": "drain"}, name="drain"),
    path("<slug:agent_id>/pause/", standing.stand, {"verb": "pause"}, name="pause"),
    path("<slug:agent_id>/resume/", standing.stand, {"verb": "resume"}, name="resume"),
    path("<slug:agent_id>/revoke/", actions.revoke, name="revoke"),
]
