"""One text at two edges and the hub, over real streams: everybody types, links come and go."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Patch, Splice
from holdfast.errors import InvalidArgument, RevisionMismatch
from tests.house import PERSON, ROBOT, SPACE, house

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/pages/1"
POLICY = '{"fields": {"body": "text", "plan": "list"}}'


@pytest.mark.promise("rule.text-list")
async def test_two_edges_type_into_one_text_while_their_links_are_cut() -> None:
    async with house("a", "b") as home:
        await home.set_policy("pages", POLICY)
        arm, ann, hub = home.at("a", ROBOT), home.at("b", PERSON), home.at("hub", PERSON)
        await arm.put(PATH, {"body": "one three", "plan": [1, 1.0]})
        await home.settled()
        for name in ("a", "b"):
            await home.pause(name)
        await arm.splice(PATH, "body", at=4, insert="two ")
        await arm.splice(PATH, "plan", at=1, insert=[{"by": "arm"}])
        await ann.splice(PATH, "body", [0, "\U0001f469\u200d\U0001f52c ", 4, "\u00e9", -5])
        await ann.splice(PATH, "plan", at=0, delete=1)
        await hub.splice(PATH, "body", at=9, insert="!")
        assert (await arm.get(PATH)).value["body"] == "one two three"  # type: ignore[union-attr]
        for name in ("a", "b"):
            await home.resume(name)
        await home.settled()
        found = [await home.at(name).get(PATH) for name in ("hub", "a", "b")]
        values = [record.value for record in found if record is not None]
        assert values[0] == values[1] == values[2]
        body, plan = values[0]["body"], values[0]["plan"]
        assert "two " in body and "three" not in body and "!" in body and "\u00e9" in body
        assert body.startswith("\U0001f469\u200d\U0001f52c one ")
        assert plan == [{"by": "arm"}, 1.0]


async def test_a_put_of_a_text_is_an_edit_of_it() -> None:
    async with house("a", "b") as home:
        await home.set_policy("pages", POLICY)
        arm, ann = home.at("a", ROBOT), home.at("b", PERSON)
        await (await arm.put(PATH, {"body": "the fox jumps"})).outcome()
        await home.settled()
        await asyncio.gather(home.pause("a"), home.pause("b"))
        await arm.put(PATH, {"body": "the brown fox jumps"})
        await ann.patch(PATH, {"body": "the fox leaps"})
        await asyncio.gather(home.resume("a"), home.resume("b"))
        await home.settled()
        for name in ("hub", "a", "b"):
            assert (await home.at(name).get(PATH)).value == {"body": "the brown fox leaps"}  # type: ignore[union-attr]
        history = await home.at("hub").history(PATH)
        assert Splice(PATH, "body", (4, "brown ", 9)) in [
            op for entry in history.entries for op in entry.ops
        ]


async def test_what_a_splice_cannot_be_on_is_refused_by_name() -> None:
    async with house("a") as home:
        await home.set_policy("pages", POLICY)
        await home.settled()
        for name in ("hub", "a"):
            door = home.at(name, PERSON)
            path = f"{SPACE}/pages/{name}"
            await door.put(path, {"body": "abc", "title": "t"})
            for field, reason, options in (
                ("title", "RULE_MISMATCH", {"insert": "x"}),
                ("body", "SPLICE_MISMATCH", {"at": 4, "insert": "x"}),
                ("body", "SPLICE_MISMATCH", {"at": 2, "delete": 2}),
                ("body", "RULE_MISMATCH", {"insert": [1]}),
                ("plan", "RULE_MISMATCH", {"insert": "x"}),
                ("body", "MALFORMED_REQUEST", {}),
            ):
                with pytest.raises(InvalidArgument) as caught:
                    await door.splice(path, field, **options)
                assert caught.value.reason == reason, (name, field, options)


async def test_an_older_context_is_placed_at_the_hub_and_refused_at_an_edge() -> None:
    async with house("a") as home:
        await home.set_policy("pages", POLICY)
        hub, arm = home.at("hub", PERSON), home.at("a", ROBOT)
        await hub.put(PATH, {"body": "abc"})
        await home.settled()
        read_there, read_here = await hub.get(PATH), await arm.get(PATH)
        assert read_there is not None and read_here is not None
        await hub.splice(PATH, "body", at=0, insert="012")
        await hub.splice(PATH, "body", at=3, insert="d", based_on=read_there)
        await home.settled()
        assert (await hub.get(PATH)).value["body"] == "012abcd"  # type: ignore[union-attr]
        with pytest.raises(RevisionMismatch):
            await arm.splice(PATH, "body", at=3, insert="e", based_on=read_here)
        again = await arm.get(PATH)
        assert again is not None
        await arm.splice(PATH, "body", at=7, insert="e", based_on=again)
        await home.settled()
        assert (await hub.get(PATH)).value["body"] == "012abcde"  # type: ignore[union-attr]


async def test_whoever_had_not_seen_that_the_text_was_replaced_loses_and_it_is_kept() -> None:
    async with house("a", "b") as home:
        await home.set_policy("pages", POLICY)
        arm, ann = home.at("a", ROBOT), home.at("b", PERSON)
        await (await arm.put(PATH, {"body": "abc"})).outcome()
        await home.settled()
        await home.pause("a")
        receipts = [await arm.splice(PATH, "body", at=0, insert=letter) for letter in "xyz"]
        gone = await ann.commit([Patch(PATH, {"other": 1}, ("body",))])
        await gone.outcome()
        await home.resume("a")
        await home.settled()
        assert [(await one.outcome()).kind for one in receipts] == ["superseded"] * 3
        for name in ("hub", "a", "b"):
            assert (await home.at(name).get(PATH)).value == {"other": 1}  # type: ignore[union-attr]
        await arm.splice(PATH, "body", insert="anew")
        await home.settled()
        assert (await ann.get(PATH)).value["body"] == "anew"  # type: ignore[union-attr]
