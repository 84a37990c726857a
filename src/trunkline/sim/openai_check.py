"""What OpenAI's Chat Completions refuses with a 400, as far as it is cheap to tell.

A row a rule, run in order; the first that fails speaks. The wording follows the service's, because people read it and
programs match on `code` and `param`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trunkline.sim.persona import Model
from trunkline.sim.problems import Problem

FIELDS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
})  # fmt: skip
ROLES = ("system", "assistant", "user", "function", "tool", "developer")
PARTS = {
    "user": frozenset({"text", "image_url", "input_audio", "file"}),
    "assistant": frozenset({"text", "refusal"}),
    "system": frozenset({"text"}),
    "developer": frozenset({"text"}),
    "tool": frozenset({"text"}),
}
INSTEAD_OF_CONTENT = ("tool_calls", "refusal", "function_call", "audio")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "n": (1, 128),
    "top_logprobs": (0, 20),
    "max_tokens": (1, 2**31),
    "max_completion_tokens": (1, 2**31),
}

Body = dict[str, Any]


def check(body: Body, model: Model) -> None:
    """Raises Problem for the first rule that the request breaks."""
    for rule in (_fields, _ranges, _combinations, _messages, _conversation, _tools, _tool_choice, _format):
        rule(body)
    if model.responses_only:
        _tools_elsewhere(body)
    if model.thinks:
        _reasoning_model(body)


def _missing(param: str) -> Problem:
    return Problem(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _value(param: str, value: object, allowed: object) -> Problem:
    return Problem(f"Invalid value: '{value}'. Supported values are: {allowed}.", param=param, code="invalid_value")


def _fields(body: Body) -> None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Problem("you must provide a model parameter")
    for name in body:
        if name not in FIELDS:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    for name, kind in (("stream", bool), ("tools", list), ("stream_options", dict), ("response_format", dict)):
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise Problem(
                f"Invalid type for '{name}': expected {kind.__name__}, but got {type(body[name]).__name__} instead.",
                param=name, code="invalid_type",
            )  # fmt: skip


def _ranges(body: Body) -> None:
    for name, (low, high) in RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Problem(f"Invalid type for '{name}': expected a number.", param=name, code="invalid_type")
        if not low <= value <= high:
            edge, code = ("below minimum", "min") if value < low else ("above maximum", "max")
            raise Problem(
                f"Invalid '{name}': {edge} value. Expected a value between {low} and {high}, but got {value} instead.",
                param=name, code=f"integer_{'below' if code == 'min' else 'above'}_{code}_value",
            )  # fmt: skip


def _combinations(body: Body) -> None:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Problem(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens", code="invalid_parameter_combination",
        )  # fmt: skip
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Problem(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Problem("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > 4:
        raise Problem(
            f"Invalid 'stop': array too long. Expected an array with maximum length 4, but got {len(stop)} instead.",
            param="stop", code="array_above_max_length",
        )  # fmt: skip
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise _value("reasoning_effort", effort, ", ".join(map(repr, EFFORTS)))


def _messages(body: Body) -> None:
    messages = body.get("messages")
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list) or not messages:
        raise Problem(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages", code="empty_array",
        )  # fmt: skip
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise Problem(f"Invalid type for 'messages[{i}]': expected an object.", param=f"messages[{i}]")
        role = message.get("role")
        if role not in ROLES:
            raise _value(f"messages[{i}].role", role, ", ".join(map(repr, ROLES)))
        content = message.get("content")
        says_otherwise = role == "assistant" and any(message.get(name) for name in INSTEAD_OF_CONTENT)
        if content is None and not says_otherwise:
            raise Problem("Invalid value for 'content': expected a string, got null.", param=f"messages.[{i}].content")
        if isinstance(content, list):
            _parts(content, role, f"messages[{i}]")
        elif content is not None and not isinstance(content, str):
            where = f"messages[{i}].content"
            raise Problem(
                f"Invalid type for '{where}': expected a string or an array.", param=where, code="invalid_type"
            )


def _parts(content: list[Any], role: str, where: str) -> None:
    allowed = PARTS.get(role, frozenset())
    for j, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is None:
            raise _missing(f"{where}.content[{j}].type")
        if kind not in allowed:
            raise _value(f"{where}.content[{j}].type", kind, ", ".join(map(repr, sorted(allowed))))


def _conversation(body: Body) -> None:
    """Every call has its result right after it, and every result its call."""
    open_calls: dict[str, None] = {}
    for i, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise Problem(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.", param=f"messages.[{i}].role",
                )  # fmt: skip
            del open_calls[message["tool_call_id"]]
            continue
        _answered(open_calls, i)
        open_calls = dict.fromkeys(call.get("id", "") for call in message.get("tool_calls") or ())
    _answered(open_calls, len(body["messages"]))


def _answered(open_calls: dict[str, None], i: int) -> None:
    if open_calls:
        raise Problem(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            param=f"messages.[{i}].role",
        )


def tool_names(body: Body) -> Iterator[str]:
    """The names of the tools, in order."""
    for tool in body.get("tools") or ():
        yield str((tool.get(tool.get("type")) or {}).get("name"))


def _tools(body: Body) -> None:
    for i, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in ("function", "custom"):
            raise _value(f"tools[{i}].type", kind, "'function' and 'custom'")
        if not isinstance(tool.get(kind), dict) or not tool[kind].get("name"):
            raise _missing(f"tools[{i}].{kind}.name")
        parameters = tool[kind].get("parameters")
        if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type") != "object"):
            raise Problem(
                f"Invalid schema for function '{tool[kind]['name']}': schema must be of type \"object\".",
                param=f"tools[{i}].function.parameters", code="invalid_function_parameters",
            )  # fmt: skip
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not body.get("tools"):
            raise Problem(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", param=name
            )


def _tool_choice(body: Body) -> None:
    choice = body.get("tool_choice")
    if choice is None or choice in ("none", "auto", "required"):
        return
    if not isinstance(choice, dict) or choice.get("type") not in ("function", "custom", "allowed_tools"):
        raise _value("tool_choice", choice, "'none', 'auto', 'required', or an object")
    if choice["type"] == "allowed_tools":
        return
    name = (choice.get(choice["type"]) or {}).get("name")
    if name not in list(tool_names(body)):
        raise Problem(
            f"Invalid value for 'tool_choice': tool '{name}' not found in 'tools' parameter.", param="tool_choice"
        )


def _format(body: Body) -> None:
    wanted = body.get("response_format") or {}
    match wanted.get("type", "text"):
        case "text":
            return
        case "json_object":
            if "json" not in repr(body["messages"]).lower():
                raise Problem(
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                    "'json_object'.", param="messages",
                )  # fmt: skip
        case "json_schema":
            described = wanted.get("json_schema") or {}
            for name in ("name", "schema"):
                if not described.get(name):
                    raise _missing(f"response_format.json_schema.{name}")
            if described.get("strict"):
                _strict(described["schema"], described["name"])
        case other:
            raise _value("response_format.type", other, "'json_object', 'json_schema', and 'text'")


def _strict(schema: dict[str, Any], name: str) -> None:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise Problem(
            f"Invalid schema for response_format '{name}': In context=(), 'additionalProperties' is required to be "
            "supplied and to be false.", param="response_format", code=None,
        )  # fmt: skip


def _tools_elsewhere(body: Body) -> None:
    """The newest models reason always, and call tools while they reason only where reasoning can be handed back."""
    if body.get("reasoning_effort") == "none":
        raise Problem(
            "Unsupported value: 'reasoning_effort' does not support 'none' with this model.",
            param="reasoning_effort", code="unsupported_value",
        )  # fmt: skip
    if body.get("tools"):
        raise Problem(
            f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. "
            "Please use /v1/responses instead.", param="reasoning_effort",
        )  # fmt: skip


def _reasoning_model(body: Body) -> None:
    """Reasoning models take neither sampling parameters nor the old name of the limit."""
    if body.get("max_tokens") is not None:
        raise Problem(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.", param="max_tokens", code="unsupported_parameter",
        )  # fmt: skip
    for name in ("stop", "logprobs"):
        if body.get(name):
            raise Problem(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name, code="unsupported_parameter",
            )  # fmt: skip
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise Problem(
                f"Unsupported value: '{name}' does not support {body[name]} with this model. Only the default (1) "
                "value is supported.", param=name, code="unsupported_value",
            )  # fmt: skip
