"""Policies: how concurrent writes are merged, asked of a hub and set there.

Every method returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.limits import READ_TIMEOUT_S, WRITE_TIMEOUT_S
from holdfast.client.records import Actor
from holdfast.errors import InvalidArgument
from holdfast.v1 import admin_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of a place: `space/collection`, or `space` for the space itself. `revision` set
    it; zero is the default."""

    place: str
    json: str
    revision: int

    @property
    def value(self) -> dict[str, Any]:
        """Its members, as docs/policies.md describes them."""
        return values.decode(self.json)


class Policies:
    """Asks for policies and sets them, in the name of `actor`."""

    def __init__(self, actor: Actor | None) -> None:
        self._actor = actor

    def get(self, place: str) -> Steps[Policy]:
        """See `AsyncClient.policy`."""
        space, collection = _split(place)
        request = pb.GetPolicyRequest(space=space, collection=collection)
        call = Call(method("AdminService.GetPolicy"), request, READ_TIMEOUT_S, repeatable=True)
        response: pb.GetPolicyResponse = yield call
        return Policy(place, response.policy.json, response.policy.revision)

    def set(
        self, place: str, policy: Mapping[str, Any] | str, if_revision: int, check_only: bool
    ) -> Steps[Policy]:
        """See `AsyncClient.set_policy`."""
        if self._actor is None:
            raise InvalidArgument("MALFORMED_REQUEST", "nobody is named as the author")
        space, collection = _split(place)
        json = values.encode(policy)
        request = pb.SetPolicyRequest(
            space=space,
            policy=pb.Policy(collection=collection, json=json, revision=if_revision),
            actor=wire.actor_to(self._actor),
            validate_only=check_only,
        )
        call = Call(method("AdminService.SetPolicy"), request, WRITE_TIMEOUT_S, repeatable=False)
        response: pb.SetPolicyResponse = yield call
        return Policy(place, response.policy.json, response.policy.revision)


def _split(place: str) -> tuple[str, str]:
    space, _, collection = values.encodable(place).partition("/")
    return space, collection
