"""OpenAI's images: generated from a prompt, or edited from uploads. The picture is one colour, told by the prompt."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from trunkline.sim.exchange import Exchange, Pause, Step
from trunkline.sim.form import File
from trunkline.sim.media import png
from trunkline.sim.openai import JSON, SSE
from trunkline.sim.openai_answer import encode
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

Json = dict[str, Any]

FIELDS = frozenset({
    "background", "complexity", "frame_count", "frame_duration_ms", "model", "moderation", "n", "output_compression",
    "output_format", "partial_images", "prompt", "quality", "response_format", "safety_identifier", "size", "stream",
    "style", "svg", "user",
})  # fmt: skip
EDIT_FIELDS = FIELDS | {"image", "images", "input_fidelity", "markup", "mask"}
SIZE = (1024, 1024)
MAX_EDGE = 4096
MAX_IMAGES = 10
IMAGE_TOKENS = 272
"""What one image costs, read or made; the real price depends on size and quality."""
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")
URL = "https://example.com/simulated.png"
"""Where the older models' images would be: the simulator keeps none."""

_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})")


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /v1/images/generations. Raises Problem where the service refuses."""
    return _plan(body, turn, FIELDS, 0)


def plan_edit(body: Json, turn: Turn) -> Exchange:
    """POST /v1/images/edits, a form with the images or JSON that points to them. Raises Problem."""
    given = body.get("image", body.get("images"))
    images = given if isinstance(given, list) else [given]
    for i, image in enumerate(images):
        if isinstance(image, File):
            if not image.data.startswith(SIGNATURES):
                raise Problem("Invalid image data.", param=f"images[{i}]", code="invalid_image_file")
        elif not isinstance(image, dict) or not (image.get("image_url") or image.get("file_id")):
            raise Problem("Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return _plan(body, turn, EDIT_FIELDS, len(images))


def _plan(body: Json, turn: Turn, known: frozenset[str], given: int) -> Exchange:
    for name in body:
        if name not in known:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise Problem("Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter")
    width, height = _size(body.get("size"))
    number = _number(body, "n", 1, 1, MAX_IMAGES)
    image = base64.b64encode(png(width, height, hashlib.sha256(prompt.encode()).digest()[:3])).decode()
    settings = {
        "background": "opaque", "output_format": "png", "quality": body.get("quality") or "medium",
        "size": f"{width}x{height}",
    }  # fmt: skip
    usage = None if "no-usage" in turn.cues else _usage(prompt, given, number)
    if str(body.get("stream")).lower() == "true":
        partial = _number(body, "partial_images", 0, 0, 3)
        prefix = "image_edit" if given else "image_generation"
        frame = {"b64_json": image, "created_at": int(turn.now), **settings}
        return Exchange(200, [*SSE], [Pause(turn.ttft), *_stream(prefix, frame, partial, usage)], stream=True)
    linked = turn.name.startswith("dall-e") and body.get("response_format") != "b64_json"
    data = [{"url": URL} if linked else {"b64_json": image}] * number
    answer = {"created": int(turn.now), **({} if linked else settings), "data": data}
    if usage is not None and not linked:
        answer["usage"] = usage
    return Exchange(200, [*JSON], [encode(answer)], before=[Pause(turn.ttft)])


def _size(asked: object) -> tuple[int, int]:
    """Width and height in pixels. Raises Problem."""
    if asked in (None, "auto"):
        return SIZE
    found = _SIZE.fullmatch(str(asked))
    if found is None or max(int(found[1]), int(found[2])) > MAX_EDGE:
        raise Problem(
            f"Invalid value: '{str(asked)[:40]}'. Supported values are: 'auto', '1024x1024', '1024x1536', '1536x1024', "
            f"and others with edges up to {MAX_EDGE}.", param="size", code="invalid_value",
        )  # fmt: skip
    return int(found[1]), int(found[2])


def _number(body: Json, name: str, default: int, low: int, high: int) -> int:
    """A whole number, as JSON or as a form's text. Raises Problem."""
    given = body.get(name)
    if given is None:
        return default
    if not str(given).isdigit() or not low <= int(given) <= high:
        raise Problem(
            f"Invalid '{name}': expected an integer from {low} to {high}, but got {str(given)[:40]} instead.",
            param=name, code="invalid_value",
        )  # fmt: skip
    return int(given)


def _usage(prompt: str, given: int, made: int) -> Json:
    read, written = count(prompt), made * IMAGE_TOKENS
    return {
        "input_tokens": read + given * IMAGE_TOKENS,
        "input_tokens_details": {"text_tokens": read, "image_tokens": given * IMAGE_TOKENS},
        "output_tokens": written,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": written},
        "total_tokens": read + given * IMAGE_TOKENS + written,
    }


def _stream(prefix: str, frame: Json, partial: int, usage: Json | None) -> Iterator[Step]:
    for index in range(partial):
        yield _event(f"{prefix}.partial_image", {**frame, "partial_image_index": index})
    yield _event(f"{prefix}.completed", {**frame, "usage": usage})


def _event(kind: str, fields: Json) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **fields}) + b"\n\n"
