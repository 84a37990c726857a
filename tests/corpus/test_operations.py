"""The recorded completions, moderations, images and sound: forms are read, and usage is found where it is told."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.corpus.exchanges import Tally, library, needs_recordings
from tests.laws.generators import pieces
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest
from trunkline.core.usage import Usage
from trunkline.dialects import multipart
from trunkline.dialects.composed import COMPLETIONS
from trunkline.dialects.openai_chat import DIALECT as CHAT
from trunkline.edge.operations.passing import PassingEvents, usage_of_answer

pytestmark = needs_recordings

ENDS = ("/completions", "/moderations", "/images/generations", "/images/edits", "/audio/transcriptions",
        "/audio/translations")  # fmt: skip


@cache
def exchanges() -> tuple[Any, ...]:
    corpus = library()
    rows = [row for row in corpus.entries() if row["endpoint"].endswith(ENDS) and "chat/" not in row["endpoint"]]
    return tuple(corpus.exchange(row["id"]) for row in rows)


def is_form(found: Any) -> bool:
    return found.request.startswith(b"--")


def form_boundary(found: Any) -> bytes:
    fields = found.record["request"]["headers"]
    pairs = fields.items() if isinstance(fields, dict) else fields
    given = next(value for name, value in pairs if name.lower() == "content-type")
    boundary = multipart.boundary(given.encode())
    assert boundary is not None
    return boundary


def test_every_form_names_its_model_and_takes_another() -> None:
    tally = Tally("forms")
    for found in exchanges():
        if not is_form(found):
            continue
        between = form_boundary(found)
        model = multipart.text(found.request, between, b"model")
        changed = multipart.replaced(found.request, between, b"model", "another")
        back = multipart.replaced(changed, between, b"model", model or "")
        tally.check(found, model and changed != found.request and back == found.request, f"model {model!r}")
    tally.assert_all(at_least=5)


def streams(found: Any) -> bool:
    """By what came: one recording is indexed otherwise."""
    return bool(found.response.startswith(b"data:"))


def told(found: Any) -> dict[str, Any] | None:
    """The usage in tokens that the recording holds, by another way than ours."""
    for line in reversed(found.response.decode("utf-8", "replace").splitlines()):
        if '"usage":{' in line.replace(" ", "") or not streams(found):
            text = line.removeprefix("data: ") if streams(found) else found.response.decode()
            usage = json.loads(text).get("usage") or {}
            return usage if any(name.endswith("_tokens") for name in usage) else None
    return None


def read(found: Any, size: int) -> Usage | None:
    completes = found.meta["endpoint"].endswith("/completions")
    if not completes and not streams(found):
        return usage_of_answer(found.response)
    peek = Peek("m", streams(found), include_usage=True)
    flow = COMPLETIONS.tap(peek) if completes else PassingEvents(CHAT, "")
    data = pieces(found.response, size) if streams(found) else [found.response]
    out = b"".join(flow.feed(piece) for piece in data) + flow.eof()
    assert out == found.response
    assert flow.complete
    return flow.usage


def test_every_answer_passes_and_tells_its_usage() -> None:
    tally = Tally("answers")
    for found in exchanges():
        if found.meta["status"] != 200:
            continue
        said = told(found)
        usages = {read(found, size) for size in (0, 1, 7)}
        usage = next(iter(usages))
        wanted = said and (said.get("total_tokens") or said["prompt_tokens"] + said["completion_tokens"])
        tally.check(found, len(usages) == 1 and (usage.total if usage else None) == wanted, f"{usages} of {said}")
    tally.assert_all(at_least=15)


def test_every_completions_request_is_read_or_refused_by_name() -> None:
    tally = Tally("completions")
    for found in exchanges():
        if not found.meta["endpoint"].endswith("/completions"):
            continue
        body = json.loads(found.request)
        try:
            request = COMPLETIONS.read_request(found.request, Peek(body.get("model", "m")))
            prompt = body["prompt"][0] if isinstance(body["prompt"], list) else body["prompt"]
            ok = [part.text for message in request.messages for part in message.parts] == [prompt]  # type: ignore[union-attr]
            tally.check(found, ok, "another text")
        except BadRequest as refused:
            tally.check(found, refused.param in body, f"{refused.param}: {refused.message}")
    tally.assert_all(at_least=15)
