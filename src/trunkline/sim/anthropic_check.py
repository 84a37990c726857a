"""What Anthropic's Messages refuses with a 400, as far as it is cheap to tell.

The service validates first the shape, then the conversation, then what extended thinking demands of it. A thinking
block carries a signature over its text; the simulator signs with an HMAC, so a changed or invented block is noticed.
"""

from __future__ import annotations

from typing import Any

from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer

Body = dict[str, Any]

OLD, NEW = "2023-06-01", "2026-10-21"
VERSIONS = (OLD, NEW)
FIELDS = frozenset({
    "cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model",
    "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "temperature", "thinking",
    "tool_choice", "tools", "top_k", "top_p", "user_profile_id", "workspace_id", "context_management",
    "mcp_servers",
})  # fmt: skip
COUNT_FIELDS = FIELDS - {"max_tokens", "stop_sequences", "stream", "metadata", "service_tier"}
SAMPLING = ("temperature", "top_p", "top_k")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
BLOCKS = {
    "user": frozenset({"text", "image", "document", "tool_result", "search_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use", "document"}),
    "system": frozenset({"text"}),
}
THINKING = ("enabled", "adaptive", "between_tools", "disabled")
MIN_BUDGET = 1024


def check(body: Body, version: str, signer: Signer, counting: bool = False) -> None:
    """Raises Problem for the first rule that the request breaks."""
    _fields(body, counting)
    _versioned(body, version)
    _limits(body, counting)
    _messages(body, version)
    _conversation(body["messages"])
    _tools(body)
    _thinking(body, signer, counting)


def _fields(body: Body, counting: bool) -> None:
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if body.get(name) is None:
            raise Problem(f"{name}: Field required")
    for name in body:
        if name not in (COUNT_FIELDS if counting else FIELDS):
            raise Problem(f"{name[:80]}: Extra inputs are not permitted")
    for name, kind, said in (("model", str, "string"), ("messages", list, "list"), ("stop_sequences", list, "list")):
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise Problem(f"{name}: Input should be a valid {said}")
    if not isinstance(body.get("stream", False), bool):
        raise Problem("stream: Input should be a valid boolean")


def _versioned(body: Body, version: str) -> None:
    for name in SAMPLING if version == NEW else ():
        if name in body:
            raise Problem(f"`{name}` is not supported on API version {NEW}.")


def _limits(body: Body, counting: bool) -> None:
    limit = body.get("max_tokens")
    if not counting and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise Problem("max_tokens: Input should be a valid integer")
    if limit is not None and limit < 0:
        raise Problem("max_tokens: Input should be greater than or equal to 0")
    for name, high in (("temperature", 1), ("top_p", 1)):
        value = body.get(name)
        if value is not None and not 0 <= value <= high:
            raise Problem(f"{name}: range: 0..{high}")
    effort = (body.get("output_config") or {}).get("effort")
    if effort is not None and effort not in EFFORTS:
        raise Problem(
            f"This model does not support effort level '{effort}'. Supported levels: {', '.join(sorted(EFFORTS))}."
        )


def _messages(body: Body, version: str) -> None:
    if not body["messages"]:
        raise Problem("messages: at least one message is required")
    for i, message in enumerate(body["messages"]):
        if not isinstance(message, dict):
            raise Problem(f"messages.{i}: Input does not match the expected shape.")
        role = message.get("role")
        if role not in BLOCKS:
            raise Problem(f"messages.{i}.role: Input should be 'user', 'assistant' or 'system'")
        if i == 0 and role != "user":
            raise Problem(f'messages: Unexpected role "{role}": the first message must be the user\'s.')
        content = message.get("content")
        if isinstance(content, str):
            if not content and not (role == "assistant" and i == len(body["messages"]) - 1):
                raise Problem(f"messages.{i}: all messages must have non-empty content")
        elif isinstance(content, list):
            for j, block in enumerate(content):
                _block(block, role, f"messages.{i}.content.{j}", version)
        else:
            raise Problem(f"messages.{i}.content: Field required")
    _final(body["messages"][-1])


def _final(message: Any) -> None:
    """The model goes on from its own words, which it cannot do behind a space."""
    content = message["content"]
    last = content if isinstance(content, str) else next((block.get("text") for block in content[-1:]), None)
    if message["role"] == "assistant" and isinstance(last, str) and last[-1:].isspace():
        raise Problem("messages: final assistant content cannot end with trailing whitespace")


def _block(block: Any, role: str, where: str, version: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind is None:
        raise Problem(f"{where}.type: Field required")
    if kind not in BLOCKS[role]:
        raise Problem(f"{where}: `{kind}` blocks are not allowed in `{role}` messages")
    if kind == "text" and not block.get("text"):
        raise Problem(f"{where}.text: text content blocks must be non-empty")
    if kind == "document" and role == "assistant" and version == NEW:
        raise Problem(f"{where}: `document` blocks in assistant messages are not supported on API version {NEW}.")
    if kind == "text" and role == "user" and block.get("citations") and version == NEW:
        raise Problem(f"{where}.citations: not supported in user messages on API version {NEW}.")
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        raise Problem(f"{where}.input: Input should be a valid dictionary")
    if kind in ("image", "document") and (block.get("source") or {}).get("type") is None:
        raise Problem(f"{where}.source: Field required")


def blocks(message: Body) -> list[Body]:
    """A message's content as blocks."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _conversation(messages: list[Body]) -> None:
    """Calls and results belong to neighbouring messages."""
    waiting: list[str] = []
    for i, message in enumerate(messages):
        results = [(j, one.get("tool_use_id")) for j, one in enumerate(blocks(message)) if one["type"] == "tool_result"]
        for j, call in results:
            if call not in waiting:
                raise Problem(
                    f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        _all_answered(waiting, [call for _, call in results], i - 1)
        waiting = [str(one.get("id")) for one in blocks(message) if one["type"] == "tool_use"]
    _all_answered(waiting, [], len(messages) - 1)


def _all_answered(waiting: list[str], given: list[Any], i: int) -> None:
    missing = [call for call in waiting if call not in given]
    if missing:
        raise Problem(
            f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )


def _tools(body: Body) -> None:
    names = []
    for i, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict) or not tool.get("name"):
            raise Problem(f"tools.{i}.name: Field required")
        if tool.get("type") in (None, "custom") and (tool.get("input_schema") or {}).get("type") != "object":
            raise Problem(f"tools.{i}.custom.input_schema.type: Input should be 'object'")
        names.append(tool["name"])
    if len(set(names)) < len(names):
        raise Problem("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if kind not in ("auto", "any", "tool", "none"):
        raise Problem(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', "
            "'any', 'tool', 'none'"
        )
    if kind == "tool" and choice.get("name") not in names:
        raise Problem(f"Tool '{choice.get('name')}' not found in provided tools")
    if kind in ("any", "tool") and not names:
        raise Problem("tool_choice: tools must be provided when tool_choice forces tool use")


def thinks(body: Body) -> bool:
    return (body.get("thinking") or {}).get("type") in ("enabled", "adaptive", "between_tools")


def _thinking(body: Body, signer: Signer, counting: bool) -> None:
    thinking = body.get("thinking") or {}
    kind = thinking.get("type", "disabled")
    if kind not in THINKING:
        raise Problem(f"thinking: Input tag '{kind}' does not match any of the expected tags: {', '.join(THINKING)}")
    if kind == "enabled":
        _budget(body, thinking.get("budget_tokens"), counting)
    for i, message in enumerate(body["messages"]):
        for j, block in enumerate(blocks(message)):
            _signed(block, f"messages.{i}.content.{j}", signer)
    if not thinks(body):
        return
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise Problem("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise Problem("`temperature` may only be set to 1 when thinking is enabled.")
    if kind == "enabled":
        _thinking_first(body["messages"])


def _budget(body: Body, budget: Any, counting: bool) -> None:
    if not isinstance(budget, int):
        raise Problem("thinking.enabled.budget_tokens: Field required")
    if budget < MIN_BUDGET:
        raise Problem(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}")
    if not counting and budget >= body["max_tokens"]:
        raise Problem("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _signed(block: Body, where: str, signer: Signer) -> None:
    if block["type"] == "thinking" and not signer.verify(str(block.get("thinking", "")), block.get("signature")):
        raise Problem(f"{where}: Invalid `signature` in `thinking` block")
    if block["type"] == "redacted_thinking" and not signer.opens(block.get("data")):
        raise Problem(f"{where}: Invalid `data` in `redacted_thinking` block")


def _thinking_first(messages: list[Body]) -> None:
    """While a tool's result is being returned, the turn that called it must begin with its thinking."""
    if len(messages) < 2 or not any(one["type"] == "tool_result" for one in blocks(messages[-1])):
        return
    first = next(iter(blocks(messages[-2])), {"type": "nothing"})["type"]
    if first not in ("thinking", "redacted_thinking"):
        raise Problem(
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block "
            "(preceding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
