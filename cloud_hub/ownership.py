"""Origins belong to the identity that first used them.

An origin's id is no secret: it stands in every change. So where connections have identities, an
origin is bound to the first that names it as its own, in the database that all hub processes share,
and nobody else can write under it, ask which commits it has, or take its stream's place.

A hub process is an origin, too, and takes its own before anybody can know it. What was used without
identities, on a loopback port, belongs to nobody until a stream with one names it.

Invariant: an origin's identity never changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloud_hub import origins
from cloud_hub.storage.driver import Driver, Transaction
from holdfast.host.refusal import Refusal
from holdfast.tls.identity import Identity
from sync import messages as m

HUB = "hub"
"""Stands for every hub process; no URI of a certificate is equal to it."""


class Ownership:
    """Whose an origin is, from the database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def claim(self, who: Identity, named: Iterable[bytes]) -> None:
        """Takes origins that belong to nobody yet. Raises Refusal ORIGIN_NOT_YOURS if one is
        somebody else's; then nothing is changed."""
        wanted = frozenset(named)

        async def work(tx: Transaction) -> None:
            found = await origins.identities(tx, wanted)
            _refuse_others(found, who)
            if found.keys() != wanted:
                await origins.claim(tx, wanted - found.keys(), who.name, who.uri)
                _refuse_others(await origins.identities(tx, wanted), who)  # another was faster

        await self._driver.write(work)

    async def claim_own(self, origin: bytes) -> None:
        """Takes the origin of this hub process."""
        await self._driver.write(lambda tx: origins.claim(tx, [origin], "", HUB))


def _refuse_others(found: dict[bytes, str], who: Identity) -> None:
    for origin, identity in sorted(found.items()):
        if identity != who.uri:
            raise not_yours(who, origin)


def not_yours(who: Identity, origin: bytes) -> Refusal:
    """The refusal of a message that names an origin. Whose it is, is not told."""
    message = f"{who} may not use origin {origin.hex()}, which another identity has used"
    return Refusal("ORIGIN_NOT_YOURS", message)


def named_by(hello: m.Hello) -> frozenset[bytes]:
    """The origins that an edge calls its own."""
    earlier = {hello.predecessor} if hello.predecessor else set()
    return frozenset({hello.origin, *earlier, *(o.origin for s in hello.spaces for o in s.origins)})


class Vouched:
    """What a stream's messages may name: nothing before the hello, then the origins of the hello.

    Without an identity (a loopback port without TLS) it may name anything.
    """

    def __init__(self, who: Identity | None) -> None:
        self.who = who
        self._own: frozenset[bytes] = frozenset()

    def admit(self, own: frozenset[bytes]) -> None:
        """These have been claimed."""
        self._own = own

    def check(self, message: m.EdgeMessage) -> None:
        """Raises Refusal ORIGIN_NOT_YOURS for an origin that is not the stream's own."""
        if self.who is None or not isinstance(message, m.Push | m.VoidRange | m.CompareIds):
            return
        if message.origin not in self._own:
            raise not_yours(self.who, message.origin)
