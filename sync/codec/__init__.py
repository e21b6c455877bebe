"""Between protobuf and the values of this package: the only place in it that knows both.

blocks.py does what is large and counted in thousands, stream.py the messages
around it. What cannot be read is a MalformedBatch or a MalformedMessage, never
an exception of protobuf's.
"""

from sync.codec.blocks import (
    MAX_BLOCK_BYTES,
    decode_block,
    decode_header,
    encode_block,
    encode_header,
    lost_in,
    pack,
    precondition_from,
    precondition_to,
    unpack,
    version_from,
    version_to,
)
from sync.codec.edge_messages import counters_to
from sync.codec.nouns import MalformedMessage
from sync.codec.stream import (
    edge_message_from,
    edge_message_to,
    hub_message_from,
    hub_message_to,
)

__all__ = [
    "MAX_BLOCK_BYTES",
    "MalformedMessage",
    "counters_to",
    "decode_block",
    "decode_header",
    "edge_message_from",
    "edge_message_to",
    "encode_block",
    "encode_header",
    "hub_message_from",
    "hub_message_to",
    "lost_in",
    "pack",
    "precondition_from",
    "precondition_to",
    "unpack",
    "version_from",
    "version_to",
]
