"""Parts of the daemons against each other, over real sockets."""
