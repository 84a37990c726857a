"""The official OpenAI SDK against what the simulator offers of OpenAI besides chat and Responses."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import wave
import zlib
from typing import Any

import msgspec
import openai as sdk
import pytest
from openai import AsyncOpenAI, OpenAI

from trunkline.sim.form import MAX_PARTS, File, form, urlencoded
from trunkline.sim.problems import Problem
from trunkline.sim.server import Handle
from trunkline.sim.vectors import vector

from .conftest import KEY, raw

WAV_SECONDS = 0.5


def tone() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(round(2 * 8000 * WAV_SECONDS)))
    return out.getvalue()


# ── Embeddings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def nearness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_similar_texts_are_near(openai: AsyncOpenAI) -> None:
    texts = ["the cat sat on the mat", "the cat lay on the mat", "prices of steel rose sharply"]
    answer = await openai.embeddings.create(model="sim-small", input=texts)
    cat, likewise, steel = (one.embedding for one in answer.data)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert len(cat) == 1536
    assert nearness(cat, cat) == pytest.approx(1, abs=1e-5)
    assert nearness(cat, likewise) > 0.6 > 0.3 > abs(nearness(cat, steel))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 17


async def test_floats_and_base64_are_the_same_vector(openai: AsyncOpenAI) -> None:
    plain = await openai.embeddings.create(model="sim-small", input="a cat", encoding_format="float")
    packed = await openai.embeddings.create(model="sim-small", input="a cat", encoding_format="base64")
    data: Any = packed.data[0].embedding
    values = struct.unpack("<1536f", base64.b64decode(data))
    assert list(values) == pytest.approx(plain.data[0].embedding, abs=1e-6)


async def test_fewer_dimensions_are_the_beginning_of_more(openai: AsyncOpenAI) -> None:
    small = await openai.embeddings.create(model="sim-large", input="a cat", dimensions=256)
    large = await openai.embeddings.create(model="sim-large", input="a cat")
    assert len(large.data[0].embedding) == 3072
    begun = large.data[0].embedding[:256]
    scale = nearness(begun, begun) ** 0.5
    assert small.data[0].embedding == pytest.approx([value / scale for value in begun], abs=1e-5)


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
async def test_tokens_may_be_embedded(openai: AsyncOpenAI, tokens: Any) -> None:
    answer = await openai.embeddings.create(model="sim-small", input=tokens)
    assert len(answer.data) == (1 if isinstance(tokens[0], int) else 2)
    assert answer.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"input": ["x"] * 2049}, "input"),
        ({"input": ""}, "input"),
        ({"input": [{"text": "x"}]}, "input"),
        ({"input": "x", "dimensions": 5000}, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "word " * 9000}, None),
        ({"input": "x", "novelty": 1}, "novelty"),
    ],
)
async def test_embeddings_refused(sim: Handle, request_: dict[str, Any], param: str | None) -> None:
    reply = await raw(sim, request_, path="/v1/embeddings")
    assert reply.status == 400
    assert msgspec.json.decode(reply.body)["error"]["param"] == param


def test_a_vector_of_no_words_is_one_too() -> None:
    for size in (1, 7, 64):
        assert nearness(vector("", size), vector("", size)) == pytest.approx(1, abs=1e-6)


# ── Legacy completions ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_completions_whole_and_streamed(openai: AsyncOpenAI) -> None:
    request: Any = {"model": "sim-small", "prompt": "hello there", "max_tokens": 50}
    whole = await openai.completions.create(**request)
    assert "hello there" in whole.choices[0].text
    assert whole.choices[0].finish_reason == "stop"
    stream = await openai.completions.create(**request, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_completions_of_several_prompts(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="sim-small", prompt=["a", "b"], n=2, logprobs=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4 * 16
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == answer.choices[0].text


async def test_completions_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.BadRequestError, match="below minimum") as low:
        await openai.completions.create(model="sim-small", prompt="x", max_tokens=-1)
    assert low.value.code == "integer_below_min_value"
    with pytest.raises(sdk.BadRequestError, match="maximum context length"):
        await openai.completions.create(model="sim-tiny", prompt="word " * 600)
    with pytest.raises(sdk.BadRequestError, match="'messages'"):
        await openai.completions.create(model="sim-small", prompt="x", extra_body={"messages": []})


# ── Moderations ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_moderations_flag_words(openai: AsyncOpenAI) -> None:
    answer = await openai.moderations.create(model="omni-moderation-latest", input=["I love tea", "Such violence!"])
    calm, violent = answer.results
    assert (calm.flagged, violent.flagged) == (False, True)
    assert violent.categories.violence
    assert violent.category_scores.violence > 0.9 > 0.1 > violent.category_scores.hate
    parts: Any = [
        {"type": "text", "text": "kill"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    [both] = (await openai.moderations.create(input=parts)).results
    assert both.category_applied_input_types.violence == ["text", "image"]
    assert both.category_applied_input_types.hate == ["text"]
    with pytest.raises(sdk.BadRequestError, match="'input'"):
        await openai.moderations.create(input=[])


# ── Images ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def size_of(image: bytes) -> tuple[int, ...]:
    """Width and height of a PNG whose checksums and pixels are right."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    at, data = 8, b""
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        chunk = image[at + 4 : at + 8 + length]
        assert zlib.crc32(chunk) == struct.unpack_from(">I", image, at + 8 + length)[0]
        data += chunk[4:] if chunk.startswith(b"IDAT") else b""
        at += 12 + length
    width, height = struct.unpack_from(">II", image, 16)
    assert len(zlib.decompress(data)) == height * (1 + (width + 7) // 8)
    return width, height


async def test_images_are_real(openai: AsyncOpenAI) -> None:
    answer = await openai.images.generate(model="sim-small", prompt="a cat", n=2, size="1024x1536")
    assert answer.data is not None
    assert [size_of(base64.b64decode(one.b64_json or "")) for one in answer.data] == [(1024, 1536)] * 2
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    linked = await openai.images.generate(model="dall-e-2", prompt="a cat", size="256x256")
    assert linked.data is not None
    assert (linked.data[0].url or "").startswith("https://")


async def test_images_stream_partial_ones_first(openai: AsyncOpenAI) -> None:
    stream = await openai.images.generate(model="sim-small", prompt="a cat", stream=True, partial_images=2)
    seen = [event async for event in stream]
    assert [event.type for event in seen] == [
        *["image_generation.partial_image"] * 2, "image_generation.completed",
    ]  # fmt: skip
    assert seen[-1].usage.output_tokens > 0  # type: ignore[union-attr]


async def test_images_are_edited(openai: AsyncOpenAI) -> None:
    first = await openai.images.generate(model="sim-small", prompt="a cat", size="64x64")
    assert first.data is not None
    picture = base64.b64decode(first.data[0].b64_json or "")
    edited = await openai.images.edit(
        model="sim-small", image=[("a.png", picture), ("b.png", picture)], prompt="a dog", n=1
    )
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.image_tokens == 2 * 272
    with pytest.raises(sdk.BadRequestError, match="Invalid image data") as refused:
        await openai.images.edit(model="sim-small", image=("a.png", b"no image"), prompt="a dog")
    assert refused.value.code == "invalid_image_file"
    with pytest.raises(sdk.BadRequestError, match="'big'"):
        await openai.images.generate(model="sim-small", prompt="a cat", size="big")  # type: ignore[arg-type]


async def test_images_may_be_pointed_to(openai: AsyncOpenAI) -> None:
    pointed = {"model": "sim-small", "prompt": "x", "images": [{"image_url": "https://example.com/a.png"}]}
    answer: Any = await openai.post("/images/edits", cast_to=object, body=pointed)
    assert answer["usage"]["input_tokens_details"]["image_tokens"] == 272
    with pytest.raises(sdk.BadRequestError, match="'image'"):
        await openai.post("/images/edits", cast_to=object, body={**pointed, "images": None})


# ── Audio ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_speech_is_sound(openai: AsyncOpenAI) -> None:
    short = await openai.audio.speech.create(model="sim-small", voice="alloy", input="hello", response_format="wav")
    long = await openai.audio.speech.create(
        model="sim-small", voice="alloy", input="hello" + " hello" * 19, response_format="wav"
    )
    assert short.response.headers["content-type"] == "audio/wav"
    lengths = []
    for answer in (short, long):
        with wave.open(io.BytesIO(answer.content)) as file:
            lengths.append(file.getnframes() / file.getframerate())
    assert lengths == pytest.approx([0.02, 0.4], abs=0.001)
    silence = await openai.audio.speech.create(model="sim-small", voice="alloy", input="hello")
    assert silence.content[:2] == b"\xff\xfb"
    with pytest.raises(sdk.BadRequestError, match="'flac'"):
        await openai.audio.speech.create(model="sim-small", voice="alloy", input="x", response_format="flac")


async def test_speech_as_events(sim: Handle) -> None:
    asked = {"input": "hello" + " hello" * 39, "voice": "alloy", "response_format": "pcm", "stream_format": "sse"}
    reply = await raw(sim, asked, path="/v1/audio/speech")
    *pieces, done = (msgspec.json.decode(event.removeprefix(b"data: ")) for event in reply.events)
    assert sum(len(base64.b64decode(one["audio"])) for one in pieces) == 2 * 24_000 * 40 // 50
    assert done["usage"]["input_tokens"] == 40


async def test_transcriptions(openai: AsyncOpenAI) -> None:
    file = ("voice.wav", tone())
    tokens = await openai.audio.transcriptions.create(model="sim-small", file=file)
    assert "voice.wav" in tokens.text
    assert tokens.usage is not None
    assert (tokens.usage.type, tokens.usage.input_tokens) == ("tokens", 5)  # type: ignore[union-attr]
    seconds = await openai.audio.transcriptions.create(model="whisper-1", file=file)
    assert seconds.usage is not None
    assert (seconds.usage.type, seconds.usage.seconds) == ("duration", 1)  # type: ignore[union-attr]
    plain = await openai.audio.transcriptions.create(model="whisper-1", file=file, response_format="text")
    assert str(plain).startswith("I am whisper-1")
    subtitles = await openai.audio.transcriptions.create(model="whisper-1", file=file, response_format="srt")
    assert "00:00:00,000 --> 00:00:00,500" in str(subtitles)
    full = await openai.audio.transcriptions.create(model="whisper-1", file=file, response_format="verbose_json")
    assert full.duration == pytest.approx(WAV_SECONDS)
    with pytest.deprecated_call():
        english = await openai.audio.translations.create(model="whisper-1", file=file)
    assert "voice.wav" in english.text


async def test_transcriptions_stream(openai: AsyncOpenAI) -> None:
    stream = await openai.audio.transcriptions.create(model="sim-small", file=("voice.wav", tone()), stream=True)
    seen = [event async for event in stream]
    text = "".join(event.delta for event in seen if event.type == "transcript.text.delta")
    assert seen[-1].type == "transcript.text.done"
    assert seen[-1].text == text


async def test_transcriptions_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.BadRequestError, match="too short"):
        await openai.audio.transcriptions.create(model="sim-small", file=("voice.wav", b""))
    with pytest.raises(sdk.BadRequestError, match="multipart/form-data"):
        await openai.post("/audio/transcriptions", cast_to=object, options={"headers": {"content-type": "text/plain"}})


async def test_the_blocking_client_uploads_too(sim: Handle) -> None:
    def run() -> str:
        with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
            return client.audio.transcriptions.create(model="sim-small", file=("voice.wav", tone())).text

    assert "voice.wav" in await asyncio.to_thread(run)


# ── Forms ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def part(name: str, data: str, more: str = "") -> str:
    return f'--b\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n{data}\r\n'


def test_a_form_has_texts_files_and_lists() -> None:
    body = part("a", "1") + part("b[]", "x") + part("b[]", "y") + part("f", "\0--b\r", '; filename="n"') + "--b--\r\n"
    fields = form(body.encode(), b'multipart/form-data; boundary="b"')
    assert fields == {"a": "1", "b": ["x", "y"], "f": File("n", "", b"\0--b\r")}
    assert urlencoded(b"a=1&b=%20") == {"a": "1", "b": " "}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", b"text/plain"),
        (b"", b"multipart/form-data"),
        ((part("a", "1") * (MAX_PARTS + 1) + "--b--").encode(), b"multipart/form-data; boundary=b"),
        (b"--b\r\n\r\nx\r\n--b--", b"multipart/form-data; boundary=b"),
    ],
)
def test_a_form_is_refused(body: bytes, kind: bytes) -> None:
    with pytest.raises(Problem):
        form(body, kind)


# ── Cues ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ASKED: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "x"},
    "/v1/responses/input_tokens": {"input": "x"},
    "/v1/embeddings": {"input": "x"},
    "/v1/completions": {"prompt": "x"},
    "/v1/moderations": {"input": "x"},
    "/v1/images/generations": {"prompt": "x"},
    "/v1/audio/speech": {"input": "x", "voice": "alloy"},
}


@pytest.mark.parametrize("path", ASKED)
async def test_every_operation_fails_on_cue(sim: Handle, path: str) -> None:
    body = ASKED[path]
    for cue, status in (("401", 401), ("429", 429), ("500", 500), ("503", 503), ("quota", 429), ("502", 502)):
        reply = await raw(sim, body, cue, path)
        assert reply.status == status, cue
    limited = await raw(sim, body, "429, retry-after=3", path)
    assert b"retry-after: 3" in limited.head.lower()
    assert b"x-ratelimit-remaining-requests: 0" in limited.head.lower()
    fine = await raw(sim, body, "", path)
    assert fine.status == 200, fine.body
    assert b"x-ratelimit-remaining-requests: 4999" in fine.head.lower()
    assert (await raw(sim, body, "cut", path)).end == "reset"
    broken = await raw(sim, body, "short", path)
    assert len(broken.body) == len(fine.body) // 2
    assert (await raw(sim, body, "reset", path)).head == b""
    assert (await raw(sim, body, "empty", path)).body == b""
