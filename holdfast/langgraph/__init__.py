"""Checkpoints of LangGraph's graphs, kept by Holdfast: `pip install 'holdfast[langgraph]'`.

from holdfast.langgraph import HoldfastSaver

graph = builder.compile(checkpointer=HoldfastSaver())
"""

from __future__ import annotations

from holdfast.langgraph.saver import HoldfastSaver

__all__ = ["HoldfastSaver"]
