"""Tests of the hub, one module at a time."""
