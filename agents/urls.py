"""Paths of the agent pages."""

from __future__ import annotations

from django.urls import path

from agents.views import actions, detail, enrolment, listing

app_name = "agents"
urlpatterns = [
    path("", listing.agent_list, name="list"),
    path("enrol/", enrolment.enrol, name="enrol"),
    path("enrol/<slug:public_id>/", enrolment.enrolment_state, name="enrolment"),
    path("<slug:agent_id>/", detail.agent_detail, name="detail"),
    path("<slug:agent_id>/change/", detail.change, name="change"),
    path("<slug:agent_id>/drain/", actions.drain, name="drain"),
    path("<slug:agent_id>/resume/", actions.resume, name="resume"),
    path("<slug:agent_id>/revoke/", actions.revoke, name="revoke"),
]
