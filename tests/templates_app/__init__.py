"""Tests of script templates."""
