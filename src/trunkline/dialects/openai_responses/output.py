"""The items of an answer that is being written, and the response object around them.

What OpenAI's SDK requires of the object is always there. The service repeats the request's settings in it, and clients
rely on some: LangChain parses an answer only where `text` says that a schema was asked for. Tools and instructions are
not repeated, because they are long and stand in three events of every stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from trunkline.core.events import Finished, PartStarted, Started
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.carried import Carried, pack, seal
from trunkline.dialects.openai_responses.usage import write_usage
from trunkline.dialects.openai_responses.vocabulary import NAME, REDACTED, STATUSES, unsigned

Json = dict[str, Any]

_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
"""How the service's ids begin, by the item's type."""


class _Repeated(Struct):
    max_output_tokens: Any = UNSET
    metadata: Any = UNSET
    parallel_tool_calls: Any = UNSET
    prompt_cache_key: Any = UNSET
    reasoning: Any = UNSET
    safety_identifier: Any = UNSET
    temperature: Any = UNSET
    text: Any = UNSET
    tool_choice: Any = UNSET
    top_logprobs: Any = UNSET
    top_p: Any = UNSET
    truncation: Any = UNSET
    user: Any = UNSET


_repeated = msgspec.json.Decoder(_Repeated).decode


def repeated(body: bytes) -> Mapping[str, Any]:
    """The settings of a request that its response repeats, but for those that are left out or null."""
    try:
        said = msgspec.structs.asdict(_repeated(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # read with leniency before: what is unreadable to this decoder is not repeated
    return {name: value for name, value in said.items() if value is not UNSET and value is not None}


class Output:
    """Which items there are, in order; the last is the one that is being written."""

    def __init__(self, envelope: Envelope) -> None:
        self.items: list[Json] = []
        self._envelope = envelope
        self._head = Started("", "")
        self.own = False
        """Whether the upstream speaks this dialect too: then its own fields are carried."""

    def start(self, head: Started) -> None:
        self._head, self.own = head, head.dialect == NAME

    def begin(self, kind: str, part: PartStarted, **fields: Any) -> Json:
        """A new item. What its own dialect says of it is taken over; an id it has in any case."""
        data = (part.data or {}) if self.own else {}
        item = {"id": f"{_PREFIXES[kind]}_{self._base}_{len(self.items)}", "type": kind, **fields, **data}
        self.items.append(item)
        return item

    def call(self, kind: str, part: PartStarted, field: str) -> Json:
        """A call. Where the upstream's model signed it, the signature travels in the id that the client sends back."""
        data = part.data or {}
        call_id, signature = part.id, data.get("signature")
        if signature and not self.own:
            call_id = pack(part.id, [Carried(self._head.dialect, "call", signature)])
        scope = {"namespace": data["namespace"]} if "namespace" in data else {}
        return self.begin(kind, part, call_id=call_id, name=part.name, **scope, **{field: ""}, status="in_progress")

    def said(self, text: str) -> Json:
        """A message of one text, complete."""
        content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item = {
            "id": f"{_PREFIXES['message']}_{self._base}_{len(self.items)}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [content],
        }
        self.items.append(item)
        return item

    def redacted(self, part: PartStarted) -> Json:
        data = str((part.data or {}).get("data") or "")
        sealed = seal(REDACTED + data, self._head.dialect, NAME)
        item = {"id": f"rs_{self._base}_{len(self.items)}", "type": "reasoning", "summary": []}
        self.items.append(item | {"encrypted_content": sealed})
        return self.items[-1]

    def sign(self, item: Json, signature: str) -> None:
        """What proves a thought: the service's own, or another family's under a seal that names it."""
        if self.own:
            item["id"], item["encrypted_content"] = unsigned(signature)
        else:
            item["encrypted_content"] = seal(signature, self._head.dialect or "unknown", NAME)

    @property
    def id(self) -> str:
        return f"resp_{self._base}"

    @property
    def _base(self) -> str:
        """Of all ids of this answer."""
        return (self._head.id or self._envelope.request_id).removeprefix("resp_")

    def response(self, status: str, finished: Finished | None = None, usage: Usage | None = None) -> Json:
        """The response object as it stands."""
        head, envelope = self._head, self._envelope
        out: Json = {
            "id": self.id,
            "object": "response",
            "created_at": head.created or envelope.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": head.model or envelope.model,
            "output": list(self.items) if finished is not None else [],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            **envelope.repeated,
        }
        if finished is not None:
            out["incomplete_details"] = _details(finished)
            if self.own:
                out |= finished.extra or {}
        out["usage"] = write_usage(usage) if usage is not None else None
        return out


def status_of(finished: Finished) -> str:
    return STATUSES[finished.reason][0]


def _details(finished: Finished) -> Json | None:
    reason = STATUSES[finished.reason][1]
    return {"reason": reason} if reason is not None else None


def citation(wire: Json, own: bool) -> Json | None:
    """An annotation as this dialect knows it, or None where it cites something that it has no word for."""
    if own:
        return wire
    match wire:
        case {"type": "url_citation", "url_citation": dict(page)}:  # chat's
            return {"type": "url_citation", **_PAGE, **page}
        case {"type": "web_search_result_location", "url": str(url)}:  # Anthropic's
            return {"type": "url_citation", **_PAGE, "url": url, "title": wire.get("title") or ""}
        case _:
            return None


_PAGE = {"url": "", "title": "", "start_index": 0, "end_index": 0}
