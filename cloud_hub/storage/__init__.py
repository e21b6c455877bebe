"""Where the hub keeps its state: one seam, two databases."""
