"""Tests of the commands that both command lines share."""
