"""Databases of an older schema taken forward, and newer ones refused."""
