"""An answer as OpenAI's Responses API says it: one response object, whose output is a row of items.

Reasoning, messages and calls are items of their own, in the order in which the model made them. The object repeats the
request's settings with their defaults filled in, before there is an answer as after it; only status, output and usage
change on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trunkline.sim.cache import Reuse
from trunkline.sim.openai_answer import SAFE, filters, logprob
from trunkline.sim.persona import Answer, Part

Json = dict[str, Any]

encode = msgspec.json.encode

DEFAULTS: Json = {
    "background": False, "frequency_penalty": 0.0, "instructions": None, "max_output_tokens": None,
    "max_tool_calls": None, "moderation": None, "parallel_tool_calls": True, "presence_penalty": 0.0,
    "previous_response_id": None, "prompt_cache_key": None, "prompt_cache_retention": None, "safety_identifier": None,
    "store": True, "temperature": 1.0, "tool_choice": "auto", "top_logprobs": 0, "top_p": 1.0,
    "truncation": "disabled", "user": None, "metadata": {},
}  # fmt: skip
"""What the response object says of a setting that the request leaves out."""
REASONS = {"length": "max_output_tokens", "filtered": "content_filter"}
"""Why an answer is incomplete."""
FAILED = {"code": "server_error", "message": "The simulator was told to fail in the middle of this response."}
SOURCE = {"title": "A simulated page", "url": "https://example.com/simulated"}
"""What a simulated web search finds."""


class Saying(msgspec.Struct):
    """Everything that goes into one response."""

    number: int
    """Of the call: ids are made of it."""
    created: int
    """Seconds since the epoch."""
    model: str
    request: Json
    answer: Answer
    usage: Json | None
    thinks: bool
    azure: bool = False
    seal: Callable[[str], str] | None = None
    """Makes `encrypted_content` of reasoning; None: it is left out."""
    summarized: bool = False
    """The reasoning's summary is shown."""
    namespaces: dict[str, str] = {}
    """The namespace of each tool that has one."""
    searched: str | None = None
    """What was looked for on the web; None: nothing."""
    logprobs: int | None = None
    """How many alternatives a token's logprobs list; None: no logprobs."""
    failed: bool = False
    tps: float = 0.0

    @property
    def id(self) -> str:
        return f"resp_sim{self.number:08x}"

    @property
    def background(self) -> bool:
        return bool(self.request.get("background"))

    def item_id(self, kind: str, index: int) -> str:
        """The id of the item at a place in the output."""
        return f"{kind}_sim{self.number:08x}{index}"


def usage(reuse: Reuse, answer: Answer) -> Json:
    """Responses' usage object: totals contain their details."""
    return {
        "input_tokens": reuse.total,
        "input_tokens_details": {"cached_tokens": reuse.read, "cache_write_tokens": 0},
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": answer.thought},
        "total_tokens": reuse.total + answer.tokens,
    }


def status(said: Saying) -> str:
    """How the response ends."""
    if said.failed:
        return "failed"
    return "incomplete" if said.answer.reason in REASONS else "completed"


def opening(said: Saying, state: str) -> Json:
    """The response object while there is no answer yet."""
    return _frame(said, state, [], None)


def whole(said: Saying) -> Json:
    """The response object at its end."""
    state = status(said)
    body = _frame(said, state, items(said), None if said.failed else said.usage)
    if state == "completed":
        body["completed_at"] = said.created
    if state == "failed":
        body["error"] = FAILED
    elif state == "incomplete":
        body["incomplete_details"] = {"reason": REASONS[said.answer.reason]}
    body["service_tier"] = {"auto": "default", "fast": "priority"}.get(body["service_tier"], body["service_tier"])
    return body


def _frame(said: Saying, state: str, output: list[Json], counted: Json | None) -> Json:
    asked = said.request
    settings = {name: default if asked.get(name) is None else asked[name] for name, default in DEFAULTS.items()}
    body: Json = {
        "id": said.id, "object": "response", "created_at": said.created, "status": state, "completed_at": None,
        "error": None, "incomplete_details": None, "model": said.model, "output": output, **settings,
        "reasoning": {"effort": "medium" if said.thinks else None, "summary": None, **(asked.get("reasoning") or {})},
        "service_tier": asked.get("service_tier") or "auto",
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(asked.get("text") or {})},
        "tools": [_tool(tool) for tool in asked.get("tools") or ()],
        "usage": counted,
    }  # fmt: skip
    if said.azure:
        body["content_filters"] = _filters(said) if output else None
    return body


def _tool(tool: Json) -> Json:
    """A function is strict unless the request says otherwise."""
    return {"strict": True, "description": None, **tool} if tool.get("type") == "function" else tool


def _filters(said: Saying) -> list[Json]:
    """Azure's report of what it filtered in the prompt and in the answer."""
    prompt = {**SAFE, "jailbreak": {"detected": False, "filtered": False}}
    return [
        _filter("prompt", prompt, False),
        _filter("completion", filters(said.answer), said.answer.reason == "filtered"),
    ]


def _filter(source: str, results: Json, blocked: bool) -> Json:
    offsets = {"start_offset": 0, "end_offset": 0, "check_offset": 0}
    return {"blocked": blocked, "source_type": source, "content_filter_raw": [], "content_filter_results": results,
            "content_filter_offsets": offsets}  # fmt: skip


# ── Items ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def items(said: Saying) -> list[Json]:
    """The output, whole."""
    parts = said.answer.parts
    search = said.searched is not None
    out: list[Json] = []
    for part in parts:
        if search and part.kind not in ("thinking", "redacted"):
            out.append(search_item(said, len(out), "completed"))
            search = False
        last = part is parts[-1] and status(said) == "incomplete"
        out.append(item(said, len(out), part, "incomplete" if last else "completed"))
    return out


def item(said: Saying, index: int, part: Part, state: str, text: str | None = None) -> Json:
    """One item. `text`: what it says so far, None for all of it."""
    text = part.text if text is None else text
    if part.kind in ("thinking", "redacted"):
        return _reasoning(said, index, part, text)
    if part.kind == "tool":
        return _call(said, index, part, state, text)
    content = [content_part(said, part, text)] if text or state != "in_progress" else []
    phase = {"phase": "final_answer"} if said.thinks else {}
    msg_id = said.item_id("msg", index)
    return {"id": msg_id, "type": "message", "status": state, "content": content, **phase, "role": "assistant"}


def _reasoning(said: Saying, index: int, part: Part, text: str) -> Json:
    shown: Json = {"id": said.item_id("rs", index), "type": "reasoning"}
    if said.seal is not None:
        shown["encrypted_content"] = said.seal(part.text)
    shown["summary"] = [{"type": "summary_text", "text": text}] if said.summarized and text else []
    return shown


def _call(said: Saying, index: int, part: Part, state: str, text: str) -> Json:
    number = said.answer.parts.index(part)
    call_id = f"call_sim{said.number:08x}0{number}"
    scope = {"namespace": said.namespaces[part.name]} if part.name in said.namespaces else {}
    if part.free_form:
        return {"id": said.item_id("ctc", index), "type": "custom_tool_call", "status": state, "call_id": call_id,
                "input": text, "name": part.name, **scope}  # fmt: skip
    return {"id": said.item_id("fc", index), "type": "function_call", "status": state, "arguments": text,
            "call_id": call_id, "name": part.name, **scope}  # fmt: skip


def content_part(said: Saying, part: Part, text: str) -> Json:
    """The one content part of a message."""
    if part.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    logprobs = [] if said.logprobs is None or not text else [logprob(one, said.logprobs) for one in part.pieces]
    annotations = [annotation(text)] if said.searched is not None and text else []
    return {"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text}


def annotation(text: str) -> Json:
    """Where a searched answer comes from."""
    return {"type": "url_citation", "start_index": 0, "end_index": len(text), **SOURCE}


def search_item(said: Saying, index: int, state: str) -> Json:
    action = {"type": "search", "query": said.searched}
    return {"id": said.item_id("ws", index), "type": "web_search_call", "status": state, "action": action}
