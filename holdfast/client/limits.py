"""How long the client waits and how often it tries, each with its reason. Times in seconds."""

READ_TIMEOUT_S = 10.0
"""A local read takes a millisecond; a strong one asks the hub over a link that may be slow."""

WRITE_TIMEOUT_S = 10.0
"""A local write takes one fsync; a full disk or a slow card may make it wait for others."""

WAIT_TIMEOUT_S = 30.0
"""For what depends on the hub: outcomes, `wait`, `synced`."""

CONNECT_TIMEOUT_S = 3.0
"""A daemon that is being restarted is back within that; beyond it, none is there."""

MAX_ATTEMPTS = 5
"""Of one request, so that a program hears of a trouble that lasts while it can still react."""

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 1.0
"""Between attempts: doubling, spread by half."""

WATCH_MAX_DELAY_S = 5.0
"""Between attempts of a watch, which has no last one: it goes on until it is closed, and this is
what bounds the load. A hub that comes back is noticed within that."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""One message; the doors have the same limit. Refused here, because gRPC would answer a larger one
with a status that has no reason."""

MIN_RECONNECT_BACKOFF_MS = 100
MAX_RECONNECT_BACKOFF_MS = 2_000
"""How long gRPC waits before it dials again. It answers every request meanwhile with the old
failure, so this is short: the daemon is near."""

KEEPALIVE_MS = 10_000
PING_TIMEOUT_MS = 5_000
"""A frozen door is noticed within 15 seconds. The doors allow pings this often."""


def channel_options() -> list[tuple[str, int]]:
    """Arguments of a gRPC channel."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", MIN_RECONNECT_BACKOFF_MS),
        ("grpc.min_reconnect_backoff_ms", MIN_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 0),
        # Two clients of one address must not share a connection: closing one would be felt by both.
        ("grpc.use_local_subchannel_pool", 1),
    ]
