"""Tests of the command line, against a fake server on loopback."""
