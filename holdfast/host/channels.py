"""Every gRPC channel and server argument, each with its reason.

gRPC ignores an argument whose name it does not know without a word, so they are all here and the
tests prove each: that the core knows the name, and what the ones that matter do.

Invariant: SERVER_MIN_PING_INTERVAL_MS < CLIENT_KEEPALIVE_MS. A server counts pings that come faster
than its minimum and cuts the client off after a few ("too many pings"); without the argument its
minimum is five minutes.
"""

import os
from collections.abc import MutableMapping

Options = tuple[tuple[str, int], ...]

CIPHERS_VARIABLE = "GRPC_SSL_CIPHER_SUITES"
CIPHERS = "ECDHE-PSK-CHACHA20-POLY1305"
"""gRPC's Python has no setting for the least version of TLS. Its ciphers can be chosen, but those
of TLS 1.3 are always allowed; this one is of TLS 1.2 and needs a key shared beforehand, which
nobody here has. So no handshake of TLS 1.2 finds a cipher, at either end."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""One message, either way. gRPC's default for receiving, stated because both ends must agree: a
larger one ends the whole stream. A frame of 1000 changes is about 60 KB, so this leaves room for
large values and bounds what one peer can make another hold."""

CLIENT_KEEPALIVE_MS = 10_000
CLIENT_PING_TIMEOUT_MS = 5_000
"""With the interval above, a peer that is frozen or cut off is noticed within 15 seconds.
`keepalive_timeout_ms`, which its name suggests for this, has no effect in the core: a frozen peer
was noticed after 70 seconds."""

SERVER_MIN_PING_INTERVAL_MS = 5_000
"""Half of the client's interval: pings bunched up by a slow network must not look like a flood."""

MAX_PING_STRIKES = 2
"""How many pings faster than that are forgiven; a client with another's settings is cut off before
it costs much."""

SERVER_KEEPALIVE_MS = 60_000
SERVER_PING_TIMEOUT_MS = 20_000
"""The server asks less often than its clients, which ping anyway: this only frees the streams of
those that vanished, and each ping to thousands of idle edges is work."""

MIN_RECONNECT_BACKOFF_MS = 1_000
MAX_RECONNECT_BACKOFF_MS = 60_000
"""How long the channel waits before it dials again. A minute at most: when a network comes back
after days, its edges should be there within that; a second at least, so that a hub that restarts is
not stormed."""

MAX_CONNECTION_AGE_MS = 45 * 60 * 1000
"""A connection outlives the certificate it was opened with, and a load balancer never moves it: so
it ends after a while (gRPC spreads this by a tenth). The hub says goodbye on its streams before
that."""

CONNECTION_AGE_GRACE_MS = 30_000
"""What calls in flight get to finish after that."""

MAX_CONCURRENT_STREAMS = 256
"""Calls at once on one connection; more wait at the client without an error. So it lies well above
what one program keeps open (its watches, 64 callers), or its watches would lock out its writes; how
many watches a program may have is refused by name at the door, not here."""


def allow_only_tls_1_3(environment: MutableMapping[str, str] = os.environ) -> None:
    """For this whole process; gRPC reads it when it is loaded, so it must come before that."""
    environment[CIPHERS_VARIABLE] = CIPHERS


def client_options() -> Options:
    """Arguments for a channel, to an edge's socket or to a hub."""
    return (
        ("grpc.keepalive_time_ms", CLIENT_KEEPALIVE_MS),
        ("grpc.http2.ping_timeout_ms", CLIENT_PING_TIMEOUT_MS),
        # No limit to pings between data frames: a stream may be idle for days, and the default of
        # two would end the probing, and with it the noticing, just there.
        ("grpc.http2.max_pings_without_data", 0),
        # A channel without calls has nothing to lose by a dead peer: its next call dials anew.
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.initial_reconnect_backoff_ms", MIN_RECONNECT_BACKOFF_MS),
        ("grpc.min_reconnect_backoff_ms", MIN_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        *_message_limits(),
    )


def server_options(*, max_connection_age_ms: int | None = MAX_CONNECTION_AGE_MS) -> Options:
    """Arguments for a server. `max_connection_age_ms` is None on a Unix socket: nothing there
    expires or rebalances."""
    age: Options = ()
    if max_connection_age_ms is not None:
        age = (
            ("grpc.max_connection_age_ms", max_connection_age_ms),
            ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MS),
        )
    return (
        ("grpc.http2.min_ping_interval_without_data_ms", SERVER_MIN_PING_INTERVAL_MS),
        ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
        ("grpc.keepalive_time_ms", SERVER_KEEPALIVE_MS),
        ("grpc.http2.ping_timeout_ms", SERVER_PING_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_concurrent_streams", MAX_CONCURRENT_STREAMS),
        # Two processes on one port would each get half of the connections: a second start must fail
        # instead.
        ("grpc.so_reuseport", 0),
        *age,
        *_message_limits(),
    )


def _message_limits() -> Options:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # By default sending is unlimited; then the mistake would only show at the peer, as the end
        # of its stream.
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    )
