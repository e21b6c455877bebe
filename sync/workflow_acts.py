"""What is written for a thing that is done with a workflow, and on which condition.

Beginning needs that there is none; whatever follows needs the authority under which it was decided
and the version that it was decided on, so that of two callers at one door only one goes on; taking
the authority needs the version that was looked at, and is decided by the hub before it is answered.
So a node that has lost its authority writes nothing, however late it learns of it, and what it had
done stands in the inbox.

Invariant: the hub and both doors let the node write what its acts say (sync.authority.may_write).
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.authority import NOBODY, WORKFLOWS
from sync.commit import Precondition, Version
from sync.levels import Level
from sync.reduce import Put
from sync.workflow_instances import Instance
from sync.workflow_rules import Word, handed


class AuthorityHeld(Exception):
    """Another node advances the workflow, and its authority is not to be taken by force."""

    reason = "AUTHORITY_HELD"

    def __init__(self, instance: Instance) -> None:
        found = instance.authority
        super().__init__(f"{instance.key} is held by {found.holder}, under the token {found.token}")
        self.metadata = {"holder": found.holder, "token": str(found.token)}


@dataclass(frozen=True, slots=True)
class Act:
    """A commit: the instance as it is to be, the conditions, and the weakest level."""

    instance: Instance
    conditions: tuple[Precondition, ...]
    level: Level = Level.EVENTUAL

    @property
    def request(self) -> Put:
        """What is written. Raises InvalidValue, VALUE_TOO_LARGE."""
        return Put(WORKFLOWS, self.instance.key, self.instance.encode())


def begins(instance: Instance) -> Act:
    """Writes down a new instance."""
    return Act(instance, (Precondition(WORKFLOWS, instance.key, exists=False),))


def goes_on(before: Instance, at: Version, after: Instance) -> Act:
    """Writes what an instance has become since a version, under the authority that it had."""
    token = before.authority.token
    held = Precondition(WORKFLOWS, before.key, authority=token)
    return Act(after, (held, Precondition(WORKFLOWS, before.key, version=at)))


def released(before: Instance, at: Version, word: Word) -> Act:
    """Gives the authority back."""
    return goes_on(before, at, handed(before, NOBODY, "released", word))


def taken(before: Instance, at: Version, node: str, word: Word, *, force: bool = False) -> Act:
    """Makes a node the one that advances. What the one before did and has not sent yet will be
    refused: `force` says that this is meant. Raises AuthorityHeld, InvalidWorkflow."""
    if before.authority.holder not in (node, NOBODY) and not force:
        raise AuthorityHeld(before)
    after = handed(before, node, "taken", word)
    return Act(after, (Precondition(WORKFLOWS, before.key, version=at),), Level.STRONG)
