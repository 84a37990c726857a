"""What Converse refuses with a ValidationException, as far as it is cheap to tell: fields, blocks, the order of turns
and of tool blocks, names of documents, reasoning that was changed."""

from __future__ import annotations

import base64
import itertools
import re
from typing import Any

from trunkline.sim.problems import Problem
from trunkline.sim.shapes import Shapes, fields, walk
from trunkline.sim.signer import Signer

Json = dict[str, Any]

SHAPES: Shapes = {
    "Converse": fields(
        plain="guardrailConfig additionalModelRequestFields promptVariables additionalModelResponseFieldPaths "
        "requestMetadata performanceConfig serviceTier",
        messages="Message*", system="System*", inferenceConfig="Inference", toolConfig="Tools", outputConfig="Output",
    ),
    "Count": fields(plain="additionalModelRequestFields", messages="Message*", system="System*", toolConfig="Tools"),
    "Message": fields(plain="role", content="Block*"),
    "Block": fields(
        plain="text video audio guardContent citationsContent searchResult toolAddition toolRemoval",
        image="Image", document="Document", toolUse="ToolUse", toolResult="ToolResult", cachePoint="CachePoint",
        reasoningContent="Reasoning",
    ),
    "System": fields(plain="text guardContent", cachePoint="CachePoint"),
    "CachePoint": fields(plain="type ttl"),
    "Image": fields(plain="format", source="Source"),
    "Document": fields(plain="format name context citations", source="Source"),
    "Source": fields(plain="bytes s3Location text content"),
    "ToolUse": fields(plain="toolUseId name input type"),
    "ToolResult": fields(plain="toolUseId status type", content="ResultBlock*"),
    "ResultBlock": fields(plain="json text video searchResult", image="Image", document="Document"),
    "Reasoning": fields(plain="redactedContent", reasoningText="ReasoningText"),
    "ReasoningText": fields(plain="text signature"),
    "Inference": fields(plain="maxTokens temperature topP stopSequences"),
    "Tools": fields(plain="toolChoice", tools="Tool*"),
    "Tool": fields(plain="systemTool", toolSpec="ToolSpec", cachePoint="CachePoint"),
    "ToolSpec": fields(plain="name description strict", inputSchema="InputSchema"),
    "InputSchema": fields(plain="json"),
    "Output": fields(plain="effort", textFormat="TextFormat"),
    "TextFormat": fields(plain="type", structure="Structure"),
    "Structure": fields(jsonSchema="JsonSchema"),
    "JsonSchema": fields(plain="schema name description"),
}  # fmt: skip
"""Source: the members of botocore's service model `bedrock-runtime`."""

EXTRAS = frozenset({
    "thinking", "reasoning_config", "reasoningConfig", "top_k", "topK", "inferenceConfig", "anthropic_beta",
    "output_config", "tool_choice", "reasoning_effort",
})  # fmt: skip
"""What `additionalModelRequestFields` may hold here; a model refuses what it does not know."""
ROLES = ("user", "assistant", "system")
ONLY = {"toolUse": "assistant", "reasoningContent": "assistant", "toolResult": "user", "image": "user",
        "document": "user", "video": "user", "audio": "user"}  # fmt: skip
IMAGES = ("png", "jpeg", "gif", "webp")
DOCUMENTS = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
EFFORTS = ("low", "medium", "high", "xhigh", "max")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DOCUMENT_NAME = re.compile(r"[\w\s()\[\]-]{1,200}", re.ASCII)
"""Its message says nothing of the underscore; recordings show that it is taken."""


def check(body: Json, signer: Signer, shape: str = "Converse") -> None:
    """Raises Problem for the first rule that the request breaks."""
    walk(body, shape, SHAPES, _unknown)
    messages = body.get("messages")
    if not messages:
        raise Problem(
            "The messages field must have at least one message: A conversation must start with a user message."
        )
    for i, message in enumerate(messages):
        _message(message, i)
    for i, block in enumerate(body.get("system") or ()):
        if "text" in block and not block["text"].strip():
            raise Problem(f"The text field in the SystemContentBlock object at system.{i} is blank.")
    _alternating(messages)
    _calls(messages)
    _documents(messages)
    _limits(body.get("inferenceConfig") or {})
    _tools(body, messages)
    _reasoning(body, messages, signer)
    _output(body.get("outputConfig") or {})


def _unknown(path: str, name: str) -> Problem:
    where = f"#/{path.replace('.', '/').replace('[', '/').replace(']', '')}" if path else "#"
    return Problem(
        f"Malformed input request: {where}: extraneous key [{name[:80]}] is not permitted, please reformat your input "
        "and try again."
    )


def _message(message: Json, i: int) -> None:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise Problem(
            f"Value '{role}' at 'messages.{i + 1}.member.role' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(ROLES)}]"
        )
    if not content:
        raise Problem(f"The content field in the Message object at messages.{i} is empty. Add a ContentBlock object.")
    for j, block in enumerate(content):
        where = f"messages.{i}.content.{j}"
        if len(block) != 1:
            raise Problem(f"The ContentBlock object at {where} must set exactly one field, not {sorted(block)}.")
        [(kind, value)] = block.items()
        if ONLY.get(kind, role) != role and not _by_server(value):
            raise Problem(f"The {kind} block at {where} is not allowed in messages of the role {role}.")
        if kind == "text" and not value.strip():
            raise Problem(
                f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try "
                "again."
            )
        _media(kind, value, where)
        for k, inner in enumerate(value.get("content") or () if kind == "toolResult" else ()):
            [(kind, value)] = inner.items()
            _media(kind, value, f"{where}.toolResult.content.{k}")


def _by_server(value: Any) -> bool:
    """Tools that the service itself runs are called and answered within one turn of the assistant."""
    return isinstance(value, dict) and "type" in value


def _media(kind: str, value: Any, where: str) -> None:
    formats = {"image": IMAGES, "document": DOCUMENTS}.get(kind)
    if formats is None:
        return
    if value.get("format", "txt" if kind == "document" else None) not in formats:
        raise Problem(f"The format field of the {kind} at {where} must be one of {', '.join(formats)}.")
    source = value.get("source") or {}
    if len(source) != 1:
        raise Problem(f"The source field of the {kind} at {where} must set exactly one field.")
    if "s3Location" in source:
        raise Problem("This model doesn't support the s3Uri field. Remove s3Uri and try again.")
    if "bytes" in source:
        try:
            base64.b64decode(source["bytes"], validate=True)
        except ValueError:
            raise Problem(f"The bytes of the {kind} at {where} are not base64.") from None


def _alternating(messages: list[Json]) -> None:
    turns = [message["role"] for message in messages if message["role"] != "system"]
    if not turns or messages[0]["role"] != "user":
        raise Problem(
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )
    if any(one == two for one, two in itertools.pairwise(turns)):
        raise Problem(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
            "between user and assistant roles and try again."
        )


def of(message: Json, kind: str) -> list[Any]:
    """The values of a message's blocks of one kind."""
    return [block[kind] for block in message["content"] if kind in block]


def _calls(messages: list[Json]) -> None:
    """Every call is answered in the next turn, and nothing else is."""
    waiting: list[str] = []
    for i, message in enumerate(messages):
        if message["role"] == "system":
            continue
        results = [str(result.get("toolUseId")) for result in of(message, "toolResult") if not _by_server(result)]
        missing = [call for call in waiting if call not in results]
        if missing:
            raise _unanswered(i, missing)
        if len(results) > len(waiting) or set(results) - set(waiting):
            raise Problem(
                f"The number of toolResult blocks at messages.{i}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
        waiting = [str(call.get("toolUseId")) for call in of(message, "toolUse") if not _by_server(call)]
        if len(set(waiting)) < len(waiting):
            raise Problem(f"The toolUseIds at messages.{i}.content must be unique.")
    if waiting:
        raise _unanswered(len(messages), waiting)


def _unanswered(i: int, calls: list[str]) -> Problem:
    return Problem(f"Expected toolResult blocks at messages.{i}.content for the following Ids: {', '.join(calls)}")


def _documents(messages: list[Json]) -> None:
    names: set[str] = set()
    for i, message in enumerate(messages):
        documents = of(message, "document")
        if documents and not of(message, "text"):
            raise Problem(f"A text block is required next to the document blocks at messages.{i}.content.")
        for document in documents:
            name = str(document.get("name", ""))
            if not _DOCUMENT_NAME.fullmatch(name) or re.search(r"\s\s", name):
                raise Problem(
                    "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
                    "parentheses, and square brackets. The name can't contain more than one consecutive whitespace "
                    "character."
                )
            if name in names:
                raise Problem(f"Document names must be unique in a request: '{name}' comes twice.")
            names.add(name)


def _limits(config: Json) -> None:
    limit = config.get("maxTokens")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise Problem("Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must be at least 1")
    for name in ("temperature", "topP"):
        if config.get(name) is not None and not 0 <= config[name] <= 1:
            raise Problem(f"Value at 'inferenceConfig.{name}' failed to satisfy constraint: Member must be from 0 to 1")
    if any(not one for one in config.get("stopSequences") or ()):
        raise Problem("Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: no empty strings")


def _tools(body: Json, messages: list[Json]) -> None:
    config = body.get("toolConfig")
    if config is None:
        if any(of(message, "toolUse") or of(message, "toolResult") for message in messages):
            raise Problem("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return
    if not config.get("tools"):
        raise Problem("Value at 'toolConfig.tools' failed to satisfy constraint: Member must have at least 1 tool")
    names = [_tool(tool, i) for i, tool in enumerate(config["tools"])]
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise Problem("The names of the tools in toolConfig must be unique.")
    choice = config.get("toolChoice") or {}
    if len(choice) > 1 or set(choice) - {"auto", "any", "tool"}:
        raise Problem(f"toolConfig.toolChoice must be one of auto, any, tool, not {sorted(choice)}.")
    if "tool" in choice and choice["tool"].get("name") not in named:
        raise Problem(f"toolConfig.toolChoice names '{choice['tool'].get('name')}', which is not among the tools.")


def _tool(tool: Json, i: int) -> str | None:
    spec = tool.get("toolSpec")
    if spec is None:
        return None
    where = f"toolConfig.tools.{i}.toolSpec"
    if not _NAME.fullmatch(str(spec.get("name", ""))):
        raise Problem(f"Value at '{where}.name' failed to satisfy constraint: [a-zA-Z0-9_-]+ of at most 64 characters")
    if spec.get("description") == "":
        raise Problem(f"Value at '{where}.description' failed to satisfy constraint: Member must not be empty")
    schema = (spec.get("inputSchema") or {}).get("json")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Problem(f"The value at {where}.inputSchema.json.type must be one of the following: object.")
    return str(spec["name"])


def asked_thinking(body: Json) -> str | None:
    """The type of thinking asked for, in any of the words that models take for it; None where nothing is said."""
    extra = body.get("additionalModelRequestFields") or {}
    said = [extra[name] for name in ("thinking", "reasoning_config", "reasoningConfig") if name in extra]
    if not said:
        return None
    return str(said[0].get("type")) if isinstance(said[0], dict) else {"none": "disabled"}.get(said[0], "enabled")


def _reasoning(body: Json, messages: list[Json], signer: Signer) -> None:
    extra = body.get("additionalModelRequestFields") or {}
    for name in extra:
        if name not in EXTRAS:
            raise Problem(f"The model returned the following errors: {_unknown('', name).message}")
    for i, message in enumerate(messages):
        for reasoning in of(message, "reasoningContent"):
            _signed(reasoning, f"messages.{i}.content", signer)
    if asked_thinking(body) in (None, "disabled"):
        return
    if set((body.get("toolConfig") or {}).get("toolChoice") or {}) & {"any", "tool"}:
        raise Problem(
            "The model returned the following errors: Thinking may not be enabled when tool_choice forces use."
        )
    if len(messages) > 1 and of(messages[-1], "toolResult") and "reasoningContent" not in messages[-2]["content"][0]:
        raise Problem(
            "The model returned the following errors: Expected `thinking` or `redacted_thinking` at the start of the "
            "assistant turn whose tools are being answered."
        )


def _signed(reasoning: Json, where: str, signer: Signer) -> None:
    said = reasoning.get("reasoningText")
    if said is not None and not signer.verify(str(said.get("text", "")), said.get("signature")):
        raise Problem(f"The model returned the following errors: {where}: Invalid `signature` in `thinking` block")
    if said is None and not signer.opens(_unwrapped(reasoning.get("redactedContent"))):
        raise Problem(f"The model returned the following errors: {where}: Invalid `data` in `redacted_thinking` block")


def _unwrapped(blob: Any) -> str:
    try:
        return base64.b64decode(str(blob), validate=True).decode("latin-1")
    except ValueError:
        return ""


def _output(config: Json) -> None:
    if config.get("effort") is not None and config["effort"] not in EFFORTS:
        raise Problem(f"Value at 'outputConfig.effort' failed to satisfy constraint: one of {', '.join(EFFORTS)}")
    wanted = config.get("textFormat")
    if wanted is None:
        return
    schema = ((wanted.get("structure") or {}).get("jsonSchema") or {}).get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, str):
        raise Problem("outputConfig.textFormat must be of type json_schema, with the schema as a string of JSON.")
