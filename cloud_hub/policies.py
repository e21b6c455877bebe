"""The policies of a space, read from its records.

A policy is a record of the collection `_policies` and changes by a commit like any other, so this
only reads. Invariant: at one revision of a space there is one set of policies.
"""

from __future__ import annotations

from cloud_hub.storage.driver import Transaction
from sync.policy import POLICIES, Policies

MAX_POLICIES = 10_000
"""Policies of one space; one per collection, and a space with more collections is a mistake."""


async def load(tx: Transaction, space: str) -> Policies:
    """The policies in force. Raises InvalidPolicy for one that this version cannot keep, which
    ingest let in and a later version must know: never guessed about."""
    policies = Policies()
    for key, value, revision in await tx.fetch(
        "records_of_collection", space, POLICIES, MAX_POLICIES
    ):
        policies = policies.with_record(key, value, revision)
    return policies
