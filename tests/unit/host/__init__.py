"""Tests of what a daemon needs of its machine."""
