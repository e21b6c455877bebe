"""The checkers of histories, each with what it must catch and what it must not."""
