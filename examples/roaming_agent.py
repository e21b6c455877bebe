"""An agent in a LangGraph graph that is stopped anywhere and goes on at another device.

    pip install 'holdfast[langgraph]' langgraph
    python examples/roaming_agent.py --socket .run/edge-1/agent.sock --thread trip-1

End it at any moment, also with kill -9. Started again it goes on where it was. To go on at another
edge, give the thread back at the first one, and start it there:

    edge-agent checkpoints release trip-1 --socket .run/edge-1/agent.sock
    python examples/roaming_agent.py --socket .run/edge-2/agent.sock --thread trip-1

The agent is a plain function that decides by what it knows, in the place of a model.
"""

from __future__ import annotations

import argparse
import operator
import time
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from holdfast.langgraph import HoldfastSaver

STATIONS = ("dock", "press", "oven", "scale", "store", "gate")


class Trip(TypedDict):
    visited: Annotated[list[str], operator.add]


def drive(trip: Trip) -> dict[str, Any]:
    """One step: the next station that was not visited yet."""
    station = STATIONS[len(trip["visited"])]
    time.sleep(SECONDS_A_STATION)
    return {"visited": [station]}


def is_there_more(trip: Trip) -> str:
    return "drive" if len(trip["visited"]) < len(STATIONS) else END


def main() -> None:
    parser = argparse.ArgumentParser(description="Drives from station to station.")
    parser.add_argument("--socket", help="of an edge; without it, as the client finds one")
    parser.add_argument("--thread", default="trip-1")
    arguments = parser.parse_args()
    address = f"unix:{arguments.socket}" if arguments.socket else None
    trip = StateGraph(Trip)
    trip.add_node("drive", drive)
    trip.add_edge(START, "drive")
    trip.add_conditional_edges("drive", is_there_more)
    with HoldfastSaver(address, ("rover-1", "robot")) as saver:
        graph = trip.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": arguments.thread}}
        known = graph.get_state(config)
        start: Any = None if known.values else {"visited": []}
        # `sync`: each step is on disk before the next begins.
        for step in graph.stream(start, config, stream_mode="values", durability="sync"):
            print(*step["visited"], flush=True)


SECONDS_A_STATION = 0.3

if __name__ == "__main__":
    main()
