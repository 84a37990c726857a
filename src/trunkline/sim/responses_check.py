"""What OpenAI's Responses API refuses with a 400, as far as it is cheap to tell.

The order is the service's: the fields, then the items one by one, then what the items demand of one another. Reasoning
is the strictest: it stays with the item that it led to, and its encrypted content is worth something only to the
organisation that got it. The wording follows the service's, because programs match on it.
"""

from __future__ import annotations

from typing import Any

from trunkline.sim.memory import Memory
from trunkline.sim.persona import Model
from trunkline.sim.problems import Problem
from trunkline.sim.responses_input import CHOSEN, offered
from trunkline.sim.signer import Signer

Json = dict[str, Any]

FIELDS = frozenset({
    "access_programs", "background", "background_options", "client_metadata", "context_management", "conversation",
    "image", "include", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model",
    "moderation", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options",
    "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
"""`client_metadata` is in no description; Codex sends it to OpenAI with every request."""
COUNT_FIELDS = frozenset({
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id",
    "reasoning", "text", "tool_choice", "tools", "truncation",
})  # fmt: skip
TYPES = {
    "background": bool, "include": list, "instructions": str, "metadata": dict, "parallel_tool_calls": bool,
    "previous_response_id": str, "reasoning": dict, "store": bool, "stream": bool, "stream_options": dict,
    "text": dict, "tools": list,
}  # fmt: skip
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_logprobs": (0, 20),
    "max_output_tokens": (16, 2**31),
    "max_tool_calls": (1, 2**31),
}
INCLUDABLE = (
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "reasoning.encrypted_content", "message.output_text.logprobs",
)  # fmt: skip
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SETTINGS = {
    "reasoning.effort": EFFORTS,
    "reasoning.summary": ("auto", "concise", "detailed"),
    "reasoning.mode": ("standard", "pro"),
    "reasoning.context": ("auto", "current_turn", "all_turns"),
    "text.verbosity": ("low", "medium", "high"),
}
"""Values of settings inside objects."""
HOSTED = (
    "apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search", "image_generation",
    "local_shell", "mcp", "namespace", "programmatic_tool_calling", "shell", "tool_search", "web_search",
    "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11",
)  # fmt: skip
"""Tools that run at the service. The simulator runs the web search alone; of the others its model makes no use."""
ROLES = ("assistant", "system", "developer", "user")
PARTS = {
    "user": ("input_text", "input_image", "input_file", "input_audio"),
    "system": ("input_text", "input_image", "input_file"),
    "developer": ("input_text", "input_image", "input_file"),
    "assistant": ("output_text", "refusal"),
}
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
"""Calls that the caller answers, and what the answer is called."""
NEEDED = {
    "function_call": ("call_id", "name", "arguments"),
    "custom_tool_call": ("call_id", "name", "input"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
    "item_reference": ("id",),
    "message": ("role", "content"),
}
OTHERS = frozenset({
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction",
    "compaction_trigger", "computer_call", "computer_call_output", "configuration_update", "file_search_call",
    "image_generation_call", "local_shell_call", "local_shell_call_output", "mcp_approval_request",
    "mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call",
    "shell_call_output", "tool_search_call", "tool_search_output", "web_search_call",
})  # fmt: skip
"""Items that are taken as they are."""


def check(body: Json, model: Model, counting: bool = False) -> None:
    """Raises Problem for the first rule that the request breaks by itself."""
    _fields(body, COUNT_FIELDS if counting else FIELDS)
    _ranges(body)
    _settings(body)
    _items(body)
    _tools(body)
    _format(body)
    if model.thinks:
        _reasoning_model(body, model)


def missing(param: str) -> Problem:
    return Problem(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _value(param: str, value: object, allowed: tuple[str, ...]) -> Problem:
    shown = ", ".join(map(repr, allowed))
    return Problem(f"Invalid value: '{value}'. Supported values are: {shown}.", param=param, code="invalid_value")


def _type(param: str, wanted: str) -> Problem:
    return Problem(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")


def _fields(body: Json, known: frozenset[str]) -> None:
    if not body.get("prompt") and (not isinstance(body.get("model"), str) or not body["model"]):
        raise missing("model")
    for name, value in body.items():
        if name not in known:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
        if value is not None and name in TYPES and not isinstance(value, TYPES[name]):
            raise _type(name, TYPES[name].__name__)
    if body.get("input") is None and not any(body.get(name) for name in ("prompt", "previous_response_id")):
        raise missing("input")
    if body.get("previous_response_id") and body.get("conversation"):
        raise Problem(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.",
            param="previous_response_id", code="mutually_exclusive_parameters",
        )  # fmt: skip


def _ranges(body: Json) -> None:
    for name, (low, high) in RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _type(name, "a number")
        kind = "integer" if isinstance(low, int) and name.startswith(("max", "top_l")) else "decimal"
        if value < low:
            raise Problem(
                f"Invalid '{name}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead.",
                param=name, code=f"{kind}_below_min_value",
            )  # fmt: skip
        if value > high:
            raise Problem(
                f"Invalid '{name}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead.",
                param=name, code=f"{kind}_above_max_value",
            )  # fmt: skip


def _settings(body: Json) -> None:
    for path, allowed in SETTINGS.items():
        outer, _, inner = path.partition(".")
        value = (body.get(outer) or {}).get(inner)
        if value is not None and value not in allowed:
            raise _value(path, value, allowed)
    for i, one in enumerate(body.get("include") or ()):
        if one not in INCLUDABLE:
            raise _value(f"include[{i}]", one, INCLUDABLE)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Problem(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )


def _items(body: Json) -> None:
    given = body.get("input")
    if given is None or isinstance(given, str):
        return
    if not isinstance(given, list):
        raise _type("input", "a string or an array of input items")
    for i, item in enumerate(given):
        where = f"input[{i}]"
        if not isinstance(item, dict):
            raise _type(where, "an object")
        kind = item.get("type") or "message"
        if kind not in NEEDED and kind not in OTHERS:
            raise _value(where, kind, tuple(sorted({*NEEDED, *OTHERS})))
        for name in NEEDED.get(kind, ()):
            if item.get(name) is None:
                raise missing(f"{where}.{name}")
        if kind == "message":
            _message(item, where)


def _message(item: Json, where: str) -> None:
    if item["role"] not in ROLES:
        raise _value(f"{where}.role", item["role"], ROLES)
    if isinstance(item["content"], str):
        return
    if not isinstance(item["content"], list):
        raise _type(f"{where}.content", "a string or an array")
    for j, part in enumerate(item["content"]):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is None:
            raise missing(f"{where}.content[{j}].type")
        if kind not in PARTS[item["role"]]:
            raise _value(f"{where}.content[{j}]", kind, PARTS[item["role"]])


def _tools(body: Json) -> None:
    for i, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in CHOSEN and kind not in HOSTED:
            raise _value(f"tools[{i}].type", kind, tuple(sorted({*CHOSEN, *HOSTED})))
        if kind in CHOSEN and not tool.get("name"):
            raise missing(f"tools[{i}].name")
        parameters = tool.get("parameters")
        if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type") != "object"):
            raise Problem(
                f"Invalid schema for function '{tool.get('name')}': schema must be of type \"object\".",
                param=f"tools[{i}].parameters", code="invalid_function_parameters",
            )  # fmt: skip
    choice = body.get("tool_choice")
    if choice is None or choice in ("none", "auto", "required"):
        return
    if not isinstance(choice, dict) or choice.get("type") not in (*CHOSEN, *HOSTED, "allowed_tools"):
        raise _value("tool_choice", choice, ("none", "auto", "required"))
    names = [tool.get("name") for tool in offered(body, [])]
    if choice["type"] in CHOSEN and choice.get("name") not in names:
        raise Problem(f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.", param="tool_choice")


def _format(body: Json) -> None:
    wanted = (body.get("text") or {}).get("format") or {}
    match wanted.get("type", "text"):
        case "text":
            return
        case "json_object":
            if "json" not in repr([body.get("input"), body.get("instructions")]).lower():
                raise Problem(
                    "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
                    "'json_object'.", param="input",
                )  # fmt: skip
        case "json_schema":
            for name in ("name", "schema"):
                if not wanted.get(name):
                    raise missing(f"text.format.{name}")
            schema = wanted["schema"]
            if (
                wanted.get("strict")
                and schema.get("type") == "object"
                and schema.get("additionalProperties") is not False
            ):
                raise Problem(
                    f"Invalid schema for response_format '{wanted['name']}': In context=(), 'additionalProperties' is "
                    "required to be supplied and to be false.",
                    param="text.format.schema", code="invalid_json_schema",
                )  # fmt: skip
        case other:
            raise _value("text.format.type", other, ("json_object", "json_schema", "text"))


def _reasoning_model(body: Json, model: Model) -> None:
    """Reasoning models take no sampling parameters while they reason; some always do."""
    effort = (body.get("reasoning") or {}).get("effort")
    if effort == "none" and model.responses_only:
        raise Problem(
            "Unsupported value: 'none' is not supported with this model. Supported values are: 'minimal', 'low', "
            "'medium', 'high', 'xhigh', and 'max'.", param="reasoning.effort", code="unsupported_value",
        )  # fmt: skip
    if effort == "none":
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise Problem(f"Unsupported parameter: '{name}' is not supported with this model.", param=name, code=None)


# ── What items demand of one another ───────────────────────────────────────────────────────────────────────────────


def check_conversation(items: list[Json], signer: Signer, memory: Memory) -> None:
    """Every result has its call and every call its result; reasoning has what it led to, and is the service's own.

    Raises:
        Problem: the first that has not.
    """
    calls: dict[str, str] = {}
    given = {item.get("id") for item in items}
    for i, item in enumerate(items):
        kind = item.get("type")
        reason = memory.reason(item.get("id"))
        if reason is not None and reason not in given:
            raise Problem(
                f"Item '{item['id']}' of type '{kind}' was provided without its required 'reasoning' item: '{reason}'.",
                param="input",
            )
        if kind in CALLS:
            calls[item["call_id"]] = CALLS[kind]
        elif kind in CALLS.values():
            _result(item, calls)
        elif kind == "reasoning":
            _sealed(item, signer)
            _led_somewhere(items, i)
    for call_id in calls:
        raise Problem(f"No tool output found for function call {call_id}.", param="input")


def _result(item: Json, calls: dict[str, str]) -> None:
    if calls.get(item["call_id"]) != item["type"]:
        shown = "custom tool call" if item["type"].startswith("custom") else "function call"
        raise Problem(f"No tool call found for {shown} output with call_id {item['call_id']}.", param="input")
    del calls[item["call_id"]]


def _sealed(item: Json, signer: Signer) -> None:
    content = item.get("encrypted_content")
    if content and not signer.opens(content):
        raise Problem(
            f"The encrypted content {str(content)[:8]}... could not be verified. Reason: Encrypted content could not "
            "be decrypted or parsed.", code="invalid_encrypted_content",
        )  # fmt: skip


def _led_somewhere(items: list[Json], index: int) -> None:
    """Reasoning is followed by what the model said or called because of it."""
    after = items[index + 1] if index + 1 < len(items) else {"role": "user"}
    said = after.get("role") == "assistant" or after.get("type") in ("reasoning", *CALLS) or (
        str(after.get("type")).endswith("_call")
    )  # fmt: skip
    if not said:
        raise Problem(
            f"Item '{items[index].get('id')}' of type 'reasoning' was provided without its required following item.",
            param="input",
        )
