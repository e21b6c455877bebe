"""One servicer for each service of the protocol; they translate and decide nothing."""
