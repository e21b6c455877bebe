"""The daemon on a device: it keeps the state of its agents and streams commits to the hub."""
