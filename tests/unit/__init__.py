"""Tests of one module at a time: no processes, no network, no sleeps."""
