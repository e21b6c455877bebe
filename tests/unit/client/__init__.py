"""The client's decisions, without a daemon."""
