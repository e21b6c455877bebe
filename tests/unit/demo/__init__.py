"""Tests of what the demo concludes."""
