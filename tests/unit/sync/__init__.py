"""Tests of the pure decisions, one module at a time."""
