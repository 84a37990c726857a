"""OpenAI's audio: a text becomes a tone or silence, the longer the text the longer; a sound becomes a text about it."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trunkline.sim.exchange import Exchange, Pause, Step
from trunkline.sim.form import File
from trunkline.sim.media import duration, mp3, pcm, wav
from trunkline.sim.openai import JSON, SSE
from trunkline.sim.openai_answer import encode
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count, pieces
from trunkline.sim.turn import Turn

Json = dict[str, Any]

SPEECH_FIELDS = frozenset({
    "input", "instructions", "model", "response_format", "speed", "stream_format", "voice",
})  # fmt: skip
MAX_INPUT = 4096
"""Characters of a text to be said."""
PER_TOKEN = 0.02
"""Seconds that a token takes to say: quicker than anyone speaks, so that files stay small."""
PER_SECOND = 10
"""Tokens that a second of sound costs."""
SOUNDS: Mapping[str, tuple[bytes, Callable[[float], bytes]]] = {
    "mp3": (b"audio/mpeg", mp3),
    "wav": (b"audio/wav", wav),
    "pcm": (b"audio/pcm", pcm),
}
"""Formats that can be made by arithmetic."""
TEXTS = frozenset({"json", "text", "srt", "vtt", "verbose_json", "diarized_json"})
PIECE = 4096
"""Bytes of sound in one event."""


def plan_speech(body: Json, turn: Turn) -> Exchange:
    """POST /v1/audio/speech: a sound, or events with pieces of it. Raises Problem where the service refuses."""
    for name in body:
        if name not in SPEECH_FIELDS:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    for name in ("input", "voice"):
        if not body.get(name):
            raise Problem(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    text = body["input"]
    if len(text) > MAX_INPUT:
        raise Problem(
            f"Invalid 'input': string too long. Expected a string with maximum length {MAX_INPUT}, but got a string "
            f"with length {len(text)} instead.", param="input", code="string_above_max_length",
        )  # fmt: skip
    wanted = body.get("response_format") or "mp3"
    if wanted not in SOUNDS:
        raise Problem(
            f"Invalid value: '{wanted}'. The simulator makes 'mp3', 'wav' and 'pcm'.", param="response_format",
            code="invalid_value",
        )  # fmt: skip
    kind, make = SOUNDS[wanted]
    spoken = count(text) * PER_TOKEN
    sound = make(spoken)
    if body.get("stream_format") == "sse":
        usage = _tokens(text, spoken)
        return Exchange(200, [*SSE], [Pause(turn.ttft), *_spoken(sound, usage)], stream=True)
    return Exchange(200, [(b"content-type", kind)], [sound], before=[Pause(turn.ttft)])


def _tokens(text: str, seconds: float) -> Json:
    read, written = count(text), math.ceil(seconds * PER_SECOND)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _spoken(sound: bytes, usage: Json) -> Iterator[Step]:
    for at in range(0, len(sound), PIECE):
        yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(sound[at : at + PIECE]).decode()})
    yield _event({"type": "speech.audio.done", "usage": usage})


def plan_transcription(body: Json, turn: Turn) -> Exchange:
    """POST /v1/audio/transcriptions, a form with a file. Raises Problem where the service refuses."""
    return _heard(body, turn, "transcribe")


def plan_translation(body: Json, turn: Turn) -> Exchange:
    """POST /v1/audio/translations: the same, to English, and never streamed. Raises Problem."""
    return _heard({name: value for name, value in body.items() if name != "stream"}, turn, "translate")


def _heard(body: Json, turn: Turn, task: str) -> Exchange:
    file = body.get("file")
    if not isinstance(file, File):
        raise Problem("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    if not file.data:
        raise Problem("Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short")
    wanted = body.get("response_format") or "json"
    if wanted not in TEXTS:
        raise Problem(
            f"Invalid value: '{str(wanted)[:40]}'. Supported values are: {', '.join(map(repr, sorted(TEXTS)))}.",
            param="response_format", code="invalid_value",
        )  # fmt: skip
    seconds = duration(file.data)
    text = f"I am {turn.name}, a simulator; I was sent {file.name} with {len(file.data)} bytes of sound."
    usage = None if "no-usage" in turn.cues else _heard_usage(turn.name, text, seconds)
    if body.get("stream") == "true":
        return Exchange(200, [*SSE], [Pause(turn.ttft), *_written(text, usage, turn.tps)], stream=True)
    before: list[Step] = [Pause(turn.ttft)]
    if wanted in ("text", "srt", "vtt"):
        plain = _plain(text, wanted, seconds)
        return Exchange(200, [(b"content-type", b"text/plain; charset=utf-8")], [plain], before=before)
    answer: Json = {"text": text}
    if wanted != "json":
        segment = {"id": 0, "start": 0.0, "end": seconds, "text": text}
        answer = {"task": task, "language": "english", "duration": seconds, "text": text, "segments": [segment]}
    if usage is not None:
        answer["usage"] = usage
    return Exchange(200, [*JSON], [encode(answer)], before=before)


def _heard_usage(model: str, text: str, seconds: float) -> Json:
    """The older model is paid by the second, the newer ones by tokens."""
    if model.startswith("whisper"):
        return {"type": "duration", "seconds": math.ceil(seconds)}
    heard, written = math.ceil(seconds * PER_SECOND), count(text)
    return {
        "type": "tokens", "total_tokens": heard + written, "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard}, "output_tokens": written,
    }  # fmt: skip


def _plain(text: str, wanted: str, seconds: float) -> bytes:
    """The transcript as text or as subtitles of one line."""
    if wanted == "text":
        return f"{text}\n".encode()
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    mark = "," if wanted == "srt" else "."
    end = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{thousandths:03}"
    head = "1\n" if wanted == "srt" else "WEBVTT\n\n"
    return f"{head}00:00:00{mark}000 --> {end}\n{text}\n".encode()


def _written(text: str, usage: Json | None, tps: float) -> Iterator[Step]:
    for piece in pieces(text):
        if tps:
            yield Pause(1 / tps)
        yield _event({"type": "transcript.text.delta", "delta": piece})
    yield _event({"type": "transcript.text.done", "text": text, **({} if usage is None else {"usage": usage})})
    yield b"data: [DONE]\n\n"


def _event(fields: Json) -> bytes:
    return b"data: " + encode(fields) + b"\n\n"
