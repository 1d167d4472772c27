"""Hosts: enrolment, credentials, heartbeats and delivery of messages."""
