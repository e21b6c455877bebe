"""Tests of the installed commands, as processes."""
