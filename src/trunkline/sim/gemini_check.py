"""What Gemini refuses with a 400, as far as it is cheap to tell: limits, parts, schemas, and the order of calls,
responses and signatures in a conversation. The shape has been read before (`gemini_shape`)."""

from __future__ import annotations

import base64
import json
from typing import Any

from trunkline.sim.gemini_logprobs import MOST
from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer
from trunkline.sim.turn import Turn

Json = dict[str, Any]

ROLES = ("user", "model")
DATA = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
)  # fmt: skip
MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
LEVELS = ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
MIME_TYPES = ("text/plain", "application/json", "text/x.enum")
TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED"})
STRING_FORMATS = ("enum", "date-time")
RANGES = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "candidateCount": (1, 8),
    "maxOutputTokens": (1, 1_000_000),
    "logprobs": (0, MOST),
}
MAX_STOPS = 5
PLACEHOLDERS = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""Signatures that the service documents for histories which it did not write."""


def check(body: Json, turn: Turn) -> None:
    """Raises Problem for the first rule that the request breaks."""
    _contents(body)
    _generation(body.get("generationConfig") or {})
    _tools(body)
    _conversation(body["contents"])
    if turn.model.thinks and not _told_not_to(body):
        _signatures(_turns(body["contents"]), Signer(turn.settings.secret))


def sign_call(signer: Signer, name: str, args: Any) -> str:
    """The signature of a call: over its name and arguments, so that one moved to another call is noticed."""
    return signer.sign(f"{name}:{json.dumps(args, sort_keys=True)}")


def _contents(body: Json) -> None:
    if not body.get("contents"):
        raise Problem("* GenerateContentRequest.contents: contents is not specified")
    for i, content in enumerate(body["contents"]):
        if content.get("role", "user") not in ROLES:
            raise Problem("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise Problem(f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty.")
        for j, part in enumerate(content["parts"]):
            _part(part, content.get("role", "user"), f"contents[{i}].parts[{j}]")
    instruction = body.get("systemInstruction")
    if instruction is not None and any(set(part) - {"text"} for part in instruction.get("parts") or ()):
        raise Problem("systemInstruction takes only parts with text.", param="system_instruction")


def _part(part: Json, role: str, where: str) -> None:
    kinds = [kind for kind in DATA if part.get(kind) is not None]
    if len(kinds) > 1:
        raise Problem(f"Invalid value at '{where}' (oneof), oneof field 'data' is already set. Cannot set '{kinds[1]}'")
    if not kinds and not part.get("thoughtSignature"):
        raise Problem(f"* {where}.data: required oneof field 'data' must have one initialized field", param=where)
    for kind, field in (("functionCall", "name"), ("functionResponse", "name"), ("fileData", "fileUri")):
        if kind in part and not part[kind].get(field):
            raise Problem(f"* {where}.{kind}.{field}: [REQUIRED_FIELD_MISSING] must not be empty.", param=where)
    if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
        raise Problem(f"* {where}.functionResponse.response: must be an object.", param=where)
    if "functionCall" in part and not isinstance(part["functionCall"].get("args", {}), dict):
        raise Problem(f"* {where}.functionCall.args: must be an object.", param=where)
    for kind, only in (("functionCall", "model"), ("functionResponse", "user")):
        if kind in part and role != only:
            raise Problem(f"{kind} parts are of the role {only}; '{where}' is of the role {role}.", param=where)
    if "inlineData" in part:
        _blob(part["inlineData"], where)


def _blob(blob: Json, where: str) -> None:
    if not blob.get("mimeType"):
        raise Problem(f"* {where}.inlineData.mimeType: must not be empty.", param=where)
    try:
        base64.b64decode(str(blob.get("data", "")).replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        field = f"{where}.inline_data.data"
        raise Problem(f"Invalid value at '{field}' (TYPE_BYTES), Base64 decoding failed", param=field) from None


def _generation(config: Json) -> None:
    for name, (low, high) in RANGES.items():
        value = config.get(name)
        if value is not None and not low <= value <= high:
            raise Problem(
                f"Unable to submit request because it has a {name} value of {value} but the supported range is from "
                f"{low} to {high}. Update the value and try again."
            )
    if len(config.get("stopSequences") or ()) > MAX_STOPS:
        raise Problem(f"The number of stop sequences must be at most {MAX_STOPS}.")
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise Problem("logprobs may only be set when responseLogprobs is true.")
    for kind in config.get("responseModalities") or ():
        if kind != "TEXT":
            raise Problem(f"The requested combination of response modalities ({kind}) is not supported by the model.")
    mime = config.get("responseMimeType") or "text/plain"
    if mime not in MIME_TYPES:
        raise Problem(f"* GenerateContentRequest.generation_config.response_mime_type: allowed: {MIME_TYPES}")
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if config.get(name) is not None]
    if len(schemas) > 1:
        raise Problem("Only one of responseSchema and responseJsonSchema may be set.")
    if schemas and mime == "text/plain":
        raise Problem(f"{schemas[0]} requires responseMimeType to be application/json.")
    if config.get("responseSchema") is not None:
        _schema(config["responseSchema"], "generation_config.response_schema")
    _thinking(config.get("thinkingConfig") or {})


def _thinking(config: Json) -> None:
    if config.get("thinkingBudget") is not None and config.get("thinkingLevel") is not None:
        raise Problem("You can only set one of thinking budget and thinking level.")
    level = config.get("thinkingLevel")
    if level is not None and str(level).upper() not in LEVELS:
        raise Problem(f"Invalid value at 'generation_config.thinking_config.thinking_level' (TYPE_ENUM), \"{level}\"")


def _told_not_to(body: Json) -> bool:
    return ((body.get("generationConfig") or {}).get("thinkingConfig") or {}).get("thinkingBudget") == 0


def _tools(body: Json) -> None:
    names: list[str] = []
    for i, tool in enumerate(body.get("tools") or ()):
        for j, declared in enumerate(tool.get("functionDeclarations") or ()):
            where = f"tools[{i}].function_declarations[{j}]"
            if not declared.get("name"):
                raise Problem(f"* GenerateContentRequest.{where}.name: must not be empty.", param=where)
            if declared.get("parameters") is not None and declared.get("parametersJsonSchema") is not None:
                raise Problem(f"{where}: set only one of parameters and parameters_json_schema.", param=where)
            if declared.get("parameters") is not None:
                _schema(declared["parameters"], f"{where}.parameters")
            names.append(declared["name"])
    if len(set(names)) < len(names):
        raise Problem(f"Duplicate function declaration found: {max(names, key=names.count)}")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if str(calling.get("mode", "AUTO")).upper() not in MODES:
        raise Problem(f"Invalid value at 'tool_config.function_calling_config.mode' (TYPE_ENUM), \"{calling['mode']}\"")
    allowed = calling.get("allowedFunctionNames") or []
    if allowed and str(calling.get("mode")).upper() not in ("ANY", "VALIDATED"):
        raise Problem("allowed_function_names may only be set when the function calling mode is ANY or VALIDATED.")
    unknown = [name for name in allowed if name not in names]
    if unknown:
        raise Problem(f"allowed_function_names names '{unknown[0]}', which is not in the provided functions.")


def _schema(schema: Any, where: str) -> None:
    """The subset's own rules; fields outside of it have been refused."""
    if not isinstance(schema, dict):
        raise Problem(f"Invalid value at '{where}': a schema is an object.", param=where)
    kind = schema.get("type", "TYPE_UNSPECIFIED")
    if isinstance(kind, list):
        raise Problem(f"Proto field is not repeating, cannot start list: '{where}.type'.", param=where)
    if not isinstance(kind, int) and str(kind).upper() not in TYPES:
        raise Problem(f"Invalid value at '{where}.type' (TYPE_ENUM), \"{kind}\"", param=where)
    if str(kind).upper() == "ARRAY" and schema.get("items") is None:
        raise Problem(f"* GenerateContentRequest.{where}.items: missing field.", param=where)
    if any(not isinstance(one, str) for one in schema.get("enum") or ()):
        raise Problem(f"Invalid value at '{where}.enum' (TYPE_STRING): enum takes strings only.", param=where)
    if str(kind).upper() == "STRING" and schema.get("format") not in (None, "", *STRING_FORMATS):
        raise Problem(
            f"* GenerateContentRequest.{where}: only 'enum' and 'date-time' are supported for STRING type", param=where
        )
    missing = [name for name in schema.get("required") or () if name not in (schema.get("properties") or {})]
    if missing:
        raise Problem(f"* GenerateContentRequest.{where}.required: property is not defined: {missing[0]}", param=where)
    for name, inner in (schema.get("properties") or {}).items():
        _schema(inner, f"{where}.properties[{name}]")
    if schema.get("items") is not None:
        _schema(schema["items"], f"{where}.items")
    for i, inner in enumerate(schema.get("anyOf") or ()):
        _schema(inner, f"{where}.any_of[{i}]")


def _conversation(contents: list[Json]) -> None:
    """A content with calls is followed by one content with as many responses, and responses by nothing else. What the
    model said may be several contents: the SDK's chats keep a stream chunk by chunk."""
    calls: list[Json] = []
    for content in _turns(contents):
        responses = of(content, "functionResponse")
        if responses and not calls:
            raise Problem("Please ensure that function response turn comes immediately after a function call turn.")
        if len(responses) != len(calls):
            raise Problem(
                "Please ensure that the number of function response parts is equal to the number of function call "
                f"parts of the function call turn: {len(calls)} calls, {len(responses)} responses."
            )
        _matching(calls, responses)
        calls = of(content, "functionCall")
    if calls:
        raise Problem("Please ensure that function call turn is followed by its function response turn.")


def _turns(contents: list[Json]) -> list[Json]:
    """The contents, the model's neighbouring ones as one."""
    turns: list[Json] = []
    for content in contents:
        if turns and content.get("role") == turns[-1].get("role") == "model":
            turns[-1] = {"role": "model", "parts": [*turns[-1]["parts"], *content["parts"]]}
        else:
            turns.append(content)
    return turns


def _matching(calls: list[Json], responses: list[Json]) -> None:
    for field in ("name", "id"):
        asked, given = ([one.get(field) for one in many] for many in (calls, responses))
        if all(asked) and all(given) and sorted(map(str, asked)) != sorted(map(str, given)):
            raise Problem(f"The {field}s of the function responses are not those of the calls: {given}, not {asked}.")


def of(content: Json, kind: str) -> list[Json]:
    """The values of a content's parts of one kind."""
    return [part[kind] for part in content.get("parts") or () if kind in part]


def _signatures(contents: list[Json], signer: Signer) -> None:
    """In the turn that is going on, the first call of each content must bring the signature that it came with."""
    asked = [i for i, one in enumerate(contents) if one.get("role", "user") == "user" and of(one, "text")]
    for i in range(asked[-1] + 1 if asked else 0, len(contents)):
        parts = [part for part in contents[i]["parts"] if "functionCall" in part]
        for j, part in enumerate(parts):
            call, signature = part["functionCall"], part.get("thoughtSignature")
            if signature is None and j == 0:
                raise Problem(
                    f"Unable to submit request because function call `default_api:{call['name']}` in the {i + 1}. "
                    "content block is missing a `thought_signature`."
                )
            if signature is not None and not _accepted(signature, call, signer):
                raise Problem("Corrupted thought signature.")


def _accepted(signature: Any, call: Json, signer: Signer) -> bool:
    if signature in PLACEHOLDERS:
        return True
    try:
        plain = base64.b64decode(str(signature).replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        return False
    known = base64.b64decode(sign_call(signer, call["name"], call.get("args") or {}))
    return plain == known or plain.decode("latin-1") in PLACEHOLDERS
