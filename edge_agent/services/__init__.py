"""One servicer for each service at the edge's sockets; they translate and decide nothing."""
