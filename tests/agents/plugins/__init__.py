"""Tests of plug-ins, the server's half."""
