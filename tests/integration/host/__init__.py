"""What a daemon needs of its machine, against the real thing."""
