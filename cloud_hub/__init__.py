"""The hub: it gives every commit its place in one history and tells every edge."""
