"""A tool that the caller insists on, and that translation cannot carry.

A built-in tool of another family among the tools is reported as lost: the model may do without. But where the choice of
tools names it, or leaves no other, an answer without it is not what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.core.errors import BadRequest
from trunkline.core.request import CustomTool, ForeignTool, Request


def refuse_forced(request: Request, lost: Sequence[str]) -> None:
    """`lost`: the paths that were lost. Raises BadRequest naming the tool that must be called and is among them."""
    choice = request.tool_choice
    if choice is None or choice.mode not in {"tool", "required"}:
        return
    gone = frozenset(lost)
    for tool in request.tools:
        if tool.at not in gone or not isinstance(tool, ForeignTool | CustomTool):
            continue
        names = {tool.name} if isinstance(tool, CustomTool) else {tool.data.get("type"), tool.data.get("name")}
        left = any(other.at not in gone for other in request.tools)
        if choice.name in names if choice.mode == "tool" else not left:
            name = choice.name or next((str(name) for name in names if name), "")
            raise BadRequest(
                f"{tool.at}: this model has no tool {name!r}, and {request.name_of('tool_choice')} demands it; choose "
                "a model that has it, or let the model choose.",
                param=tool.at,
            )
