"""What is asked besides chat: embeddings over every pair of formats, and the operations that pass as they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Answer, Upstream, chunk, hang_up, stream, whole
from tests.running import running, until
from tests.talking import ask
from trunkline.core.embedding import EmbedRequest, Item
from trunkline.dialects.embeddings import FORMATS
from trunkline.edge.operations.embed import AT_ONCE
from trunkline.edge.surfaces import SURFACES
from trunkline.sim.vectors import vector
from trunkline.state.exposition import exposition

KEY = "sk-provider-secret-42"


def openai_embeddings(*vectors: Any, tokens: int = 5) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "real", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


# ── Embeddings ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_embeddings_of_one_format_pass_byte_for_byte(tmp_path: Path) -> None:
    body = b'{"input": [[1, 2], [3]],  "x_new": 1.0, "model": "up/real"}'
    answer = json.dumps(openai_embeddings("AACAPw==", "AAAAQA==")).encode()
    async with Upstream(whole(answer)) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/embeddings", body)
        entry = await run.entry()
    assert got.status == 200
    assert got.body == answer
    assert up.asked[0].path == "/v1/embeddings"
    assert up.asked[0].json == {"input": [[1, 2], [3]], "x_new": 1.0, "model": "real"}
    assert b'"x_new":1.0' in up.asked[0].body
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output, entry.usage.estimated) == (5, 0, False)
    assert entry.surface == "/v1/embeddings"
    assert entry.target == "up/real"


async def test_tokens_that_nobody_counted_are_estimated(tmp_path: Path) -> None:
    silent = {name: value for name, value in openai_embeddings([1.0]).items() if name != "usage"}
    async with Upstream(whole(silent)) as up, running(tmp_path, one_target(up.url)) as run:
        await ask(run.port, "/v1/embeddings", {"model": "up/real", "input": "some words to embed"})
        entry = await run.entry()
    assert entry.usage is not None
    assert entry.usage.estimated
    assert entry.usage.input > 0


# ── Operations that pass ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/moderations", {"input": "hello"}),
        ("/v1/images/generations", {"prompt": "a cat", "n": 2}),
        ("/v1/images/edits", {"prompt": "green", "images": [{"image_url": "https://x/y.png"}]}),
    ],
)
@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai/deployments/up%2Freal"])
async def test_json_operations_pass_with_the_models_name(
    prefix: str, path: str, body: dict[str, Any], tmp_path: Path
) -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "input_tokens_details": {"text_tokens": 7}}
    answer = json.dumps({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": usage}).encode()
    async with Upstream(whole(answer)) as up, running(tmp_path, one_target(up.url)) as run:
        sent = body if "deployments" in prefix else {"model": "up/real", **body}
        got = await ask(run.port, path.replace("/v1", prefix, 1), sent)
        entry = await run.entry()
    assert got.status == 200
    assert got.body == answer
    assert up.asked[0].path == path
    assert up.asked[0].json == {"model": "real", **body}
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output) == (7, 3)


async def test_an_endpoint_knows_its_own_model(tmp_path: Path) -> None:
    async with Upstream(whole({"results": []})) as up:
        sections = one_target(up.url)
        sections["models"] = {"omni-moderation-latest": {"targets": [{"target": "up/real"}]}}
        async with running(tmp_path, sections) as run:
            got = await ask(run.port, "/v1/moderations", {"input": "hello"})
            entry = await run.entry()
    assert got.status == 200
    assert up.asked[0].json == {"input": "hello", "model": "real"}
    assert entry.model == "omni-moderation-latest"


FORM = (
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="name="model".wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + bytes(range(256)) + b'{"[[[[' * 100 + b"\r\n"
    b'--xx\r\nContent-Disposition: form-data; name="model"\r\n\r\nup/real\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="response_format"\r\n\r\njson\r\n--xx--\r\n'
)
MULTIPART = {"content-type": "multipart/form-data; boundary=xx"}


@pytest.mark.parametrize(
    "path", ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations"]
)
async def test_a_form_passes_with_the_models_name(path: str, tmp_path: Path) -> None:
    answer = b'{"text": "hi", "usage": {"type": "duration", "seconds": 4}}'
    async with Upstream(whole(answer)) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, path, FORM, MULTIPART)
        entry = await run.entry()
    assert got.status == 200
    assert got.body == answer
    assert up.asked[0].path == path
    assert up.asked[0].headers["content-type"] == 'multipart/form-data; boundary="xx"'
    assert up.asked[0].body == FORM.replace(b"\r\nup/real\r\n", b"\r\nreal\r\n")
    assert entry.model == "up/real"
    assert entry.usage is None


@pytest.mark.parametrize(
    ("form", "word"),
    [
        (FORM[:-20], "before its last boundary"),
        (b"no form", "begin with its boundary"),
        (FORM.replace(b'"model"', b'"mod"'), "model is required"),
        (FORM.replace(b"up/real", b"up/real" * 1000), "at most"),
        (FORM.replace(b'name="response_format"', b'name="model"'), "once, not 2 times"),
        (FORM.replace(b'name="response_format"', b'name="x"; name="model"'), "name once"),
        (FORM.replace(b'name="response_format"', b'filename="model"'), "name once"),
    ],
)
async def test_a_broken_form_is_refused(form: bytes, word: str, tmp_path: Path) -> None:
    async with Upstream(hang_up) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/audio/transcriptions", form, MULTIPART)
        await run.entry()
    assert got.status == 400
    assert word in got.json["error"]["message"]
    assert up.asked == []


def sound(*pieces: bytes, cut: bool = False) -> Answer:
    async def answer(writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(chunk(piece))
        await writer.drain()
        if cut:
            writer.close()
        else:
            writer.write(b"0\r\n\r\n")

    return answer


async def test_sound_streams_as_it_comes(tmp_path: Path) -> None:
    body = {"model": "up/real", "input": "hi", "voice": "alloy"}
    async with (
        Upstream(sound(b"\xff\xf3", b"\n\ndata: {}\n\n", b"\x00")) as up,
        running(tmp_path, one_target(up.url)) as run,
    ):
        got = await ask(run.port, "/v1/audio/speech", body)
        entry = await run.entry()
    assert got.headers["content-type"] == "audio/mpeg"
    assert got.body == b"\xff\xf3\n\ndata: {}\n\n\x00"
    assert entry.status == 200
    assert entry.error is None


async def test_sound_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    async with Upstream(sound(b"\xff\xf3", cut=True)) as up, running(tmp_path, one_target(up.url)) as run:
        with pytest.raises((EOFError, ConnectionError)):
            await ask(run.port, "/v1/audio/speech", {"model": "up/real", "input": "hi", "voice": "alloy"})
        entry = await run.entry()
    assert entry.error == "upstream_broken"


async def test_a_streamed_transcription_tells_its_usage(tmp_path: Path) -> None:
    usage = b'{"type":"tokens","input_tokens":37,"output_tokens":145,"input_token_details":{"audio_tokens":37}}'
    events = (
        b'data: {"type":"transcript.text.delta","delta":"hi"}\r\n\r\n',
        b'data: {"type":"transcript.text.done","text":"hi","usage":' + usage + b"}\r\n\r\n",
    )
    form = FORM.replace(b'name="response_format"\r\n\r\njson', b'name="stream"\r\n\r\ntrue')
    async with Upstream(stream(*events)) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/audio/transcriptions", form, MULTIPART)
        entry = await run.entry()
    assert got.body == b"".join(events)
    assert entry.stream
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output, entry.usage.input_audio) == (37, 145, 37)


async def test_a_large_answer_is_not_held_and_its_usage_is_found(tmp_path: Path) -> None:
    answer = json.dumps({"data": [{"b64_json": "A" * 3_000_000}], "usage": {"input_tokens": 5, "output_tokens": 9}})
    async with Upstream(whole(answer.encode())) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/images/generations", {"model": "up/real", "prompt": "a cat"})
        entry = await run.entry()
    assert got.body == answer.encode()
    assert "content-length" not in got.headers
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output) == (5, 9)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/moderations", "/v1/audio/speech", "/v1/images/generations"])
async def test_a_target_that_cannot_is_named(path: str, tmp_path: Path) -> None:
    async with Upstream(hang_up) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        got = await ask(run.port, path, {"model": "up/real", "input": "hi"})
        entry = await run.entry()
    assert got.status == 400
    assert got.json["error"]["code"] == entry.error == "unsupported_operation"
    assert "up/real" in got.json["error"]["message"]
    assert up.asked == []


# ── Embeddings of one family at another's provider ─────────────────────────────────────────────────────────────────

WHERE = {
    "openai": "/v1/embeddings",
    "gemini": "/v1beta/models/{}:embedContent",
    "gemini-batch": "/v1/models/{}:batchEmbedContents",
    "vertex": "/v1/projects/p/locations/l/publishers/google/models/{}:embedContent",
    "vertex-batch": "/v1beta1/publishers/google/models/{}:batchEmbedContents",
    "predict": "/v1beta1/projects/p/locations/l/publishers/google/models/{}:predict",
    "titan": "/model/{}/invoke",
    "cohere": "/model/{}/invoke",
    "nova": "/model/{}/invoke",
}
TARGETS = {
    "openai": "sim/text-embedding-3-small",
    "azure": "sim-azure/text-embedding-3-small",
    "gemini": "sim-gemini/gemini-embedding-001",
    "vertex": "sim-vertex/gemini-embedding-001",
    "predict": "sim-vertex/text-embedding-005",
    "titan": "sim-bedrock/amazon.titan-embed-text-v2:0",
    "cohere": "sim-bedrock/cohere.embed-v4:0",
    "nova": "sim-bedrock/us.amazon.nova-2-multimodal-embeddings-v1:0",
}
SIZE = 256
TEXTS = ["the cat sat", "on the mat"]
SIMULATED = {"providers": {}}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("client", WHERE)
async def test_any_client_embeds_at_any_provider(client: str, target: str, tmp_path: Path) -> None:
    """The simulator's vectors depend on the words alone, so that every way to it must bring the same."""
    form = FORMATS[client]
    request = EmbedRequest([Item(text, "", "query") for text in TEXTS[: form.limit("m")]], dimensions=SIZE)
    body = form.write_request(request, TARGETS[target] if client == "openai" else "some.embed-v4:0", [])
    async with running(tmp_path, SIMULATED) as run:
        got = await ask(run.port, WHERE[client].format(quote(TARGETS[target], safe="")), body)
        entry = await run.entry()
    assert got.status == 200, got.body
    answer = form.read_answer(got.body, [(k.encode(), v.encode()) for k, v in got.headers.items()])
    assert answer.vectors == [pytest.approx(vector(text, SIZE), abs=1e-6) for text in TEXTS[: len(answer.vectors)]]
    assert len(answer.vectors) == len(request.items)
    assert entry.usage is not None
    assert entry.usage.input > 0
    assert entry.target == TARGETS[target]


# ── More texts than a target takes at once ─────────────────────────────────────────────────────────────────────────


def bedrock(url: str) -> dict[str, Any]:
    return {"providers": {"up": {"kind": "bedrock", "base_url": url, "api_key": KEY, "region": "r"}}}


class Titan:
    """A provider of one text a call, that knows how many were asked at the same time. The text `bad` it refuses."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.asked: list[str] = []

    async def __aenter__(self) -> Titan:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                text = json.loads(await reader.readexactly(length))["inputText"]
                self.asked.append(text)
                self.now += 1
                self.most = max(self.most, self.now)
                for _ in range(int(text[-1]) if text[-1].isdigit() else 0):  # later ones may overtake
                    await asyncio.sleep(0)
                self.now -= 1
                good = text != "bad"
                vector = {"embedding": [float(text[1:])], "inputTextTokenCount": 2} if good else {"message": "no"}
                body, status = json.dumps(vector).encode(), b"200 OK" if good else b"400 Bad"
                writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        writer.close()


async def test_many_texts_go_out_a_few_at_a_time_and_come_back_in_order(tmp_path: Path) -> None:
    texts = [f"t{number}" for number in range(100)]
    async with Titan() as up, running(tmp_path, bedrock(up.url)) as run:
        got = await ask(run.port, "/v1/embeddings", {"model": "up/amazon.titan-embed-text-v2:0", "input": texts})
        entry = await run.entry()
    assert [row["embedding"] for row in got.json["data"]] == [[float(number)] for number in range(100)]
    assert sorted(up.asked) == sorted(texts)
    assert 1 < up.most <= AT_ONCE
    assert got.json["usage"] == {"prompt_tokens": 200, "total_tokens": 200}
    assert entry.usage is not None
    assert entry.usage.input == 200
    assert len(entry.attempts) == 1


async def test_a_text_that_is_refused_ends_the_others(tmp_path: Path) -> None:
    texts = [*(f"t{number}" for number in range(20)), "bad", *(f"t{number}" for number in range(500))]
    async with Titan() as up, running(tmp_path, bedrock(up.url)) as run:
        got = await ask(run.port, "/v1/embeddings", {"model": "up/amazon.titan-embed-text-v2:0", "input": texts})
        entry = await run.entry()
    assert got.status == 400
    assert got.json["error"]["code"] == entry.error == "upstream_invalid_request"
    assert len(up.asked) < 100


@pytest.mark.parametrize("strict", [False, True])
async def test_what_an_embedding_loses_is_said_or_refused(strict: bool, tmp_path: Path) -> None:
    body = {"model": "up/amazon.titan-embed-text-v2:0", "input": "t1", "user": "u", "input_type": "query"}
    headers = {"x-trunkline-strict": "1"} if strict else {}
    async with Titan() as up, running(tmp_path, bedrock(up.url)) as run:
        got = await ask(run.port, "/v1/embeddings", body, headers)
        entry = await run.entry()
    assert got.headers["x-trunkline-lost"] == "user, input_type"
    assert got.status == (400 if strict else 200)
    assert entry.error == ("lossy_translation" if strict else None)
    assert up.asked == ([] if strict else ["t1"])


async def test_an_answer_without_a_vector_for_each_text_is_no_answer(tmp_path: Path) -> None:
    answer = {"embeddings": {"float": [[1.0]]}}
    async with Upstream(whole(answer)) as up, running(tmp_path, bedrock(up.url)) as run:
        got = await ask(run.port, "/v1/embeddings", {"model": "up/cohere.embed-v4:0", "input": ["a", "b"]})
    assert got.status == 502
    assert got.json["error"]["code"] == "upstream_protocol_error"


async def test_the_next_target_embeds_where_the_first_cannot(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"models": {"vectors": {"targets": [{"target": "chat/real"}, {"target": "up/real"}]}}}
    async with Upstream(whole(openai_embeddings([1.0]))) as up:
        sections["providers"] = {
            "chat": ANTHROPIC.provider("http://127.0.0.1:9"),
            "up": OPENAI.provider(up.url),
        }
        async with running(tmp_path, sections) as run:
            got = await ask(run.port, "/v1/embeddings", {"model": "vectors", "input": "x"})
            entry = await run.entry()
    assert got.status == 200
    assert [attempt.target for attempt in entry.attempts] == ["chat/real", "up/real"]


# ── Legacy completions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_completion_passes_to_a_model_that_completes(streaming: bool, tmp_path: Path) -> None:
    body = {"model": "up/babbage-002", "prompt": ["a", "b"], "logprobs": 3, "suffix": "x", "stream": streaming}
    choice = {"text": "hi", "index": 0, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "c", "object": "text_completion", "choices": [choice]}
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    events = [b"data: %b\n\n" % json.dumps(each).encode() for each in (head, {**head, "choices": [], "usage": usage})]
    answer = stream(*events, b"data: [DONE]\n\n") if streaming else whole({**head, "usage": usage})
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/completions", body)
        entry = await run.entry()
    assert up.asked[0].path == "/v1/completions"
    added = {"stream_options": {"include_usage": True}} if streaming else {}
    assert up.asked[0].json == body | {"model": "babbage-002"} | added
    assert got.body == (events[0] + b"data: [DONE]\n\n" if streaming else json.dumps({**head, "usage": usage}).encode())
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output) == (4, 2)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_completion_is_a_chat_where_the_model_chats(streaming: bool, tmp_path: Path) -> None:
    body = {"model": "up/real", "prompt": "say hi", "max_tokens": 5, "seed": 7, "stream": streaming}
    answer = stream(*ANTHROPIC.events) if streaming else whole(ANTHROPIC.answer)
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        got = await ask(run.port, "/v1/completions", body)
        entry = await run.entry()
    assert up.asked[0].json["messages"] == [{"role": "user", "content": "say hi"}]
    assert up.asked[0].json["max_tokens"] == 5
    assert got.headers["x-trunkline-lost"] == "seed"
    if streaming:
        chunks = [json.loads(event.removeprefix(b"data: ")) for event in got.events[:-1]]
        assert got.events[-1] == b"data: [DONE]"
        assert {chunk["object"] for chunk in chunks} == {"text_completion"}
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert "".join(choice["text"] for choice in choices) == "hi"
        assert choices[-1]["finish_reason"] == "stop"
    else:
        assert got.json["choices"] == [{"text": "hi", "index": 0, "logprobs": None, "finish_reason": "stop"}]
        assert got.json["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output) == (7, 2)


async def test_a_completions_stream_that_breaks_is_an_error_in_the_stream(tmp_path: Path) -> None:
    body = {"model": "up/real", "prompt": "say hi", "stream": True}
    async with (
        Upstream(stream(*ANTHROPIC.events[:-1], end=False)) as up,
        running(tmp_path, one_target(up.url, ANTHROPIC)) as run,
    ):
        got = await ask(run.port, "/v1/completions", body)
        entry = await run.entry()
    assert b"[DONE]" not in got.body
    assert json.loads(got.events[-1].removeprefix(b"data: "))["error"]["code"] == "upstream_broken"
    assert entry.error == "upstream_broken"


async def test_a_host_that_does_not_stream_completes_all_the_same(tmp_path: Path) -> None:
    choice = {"text": "hi", "index": 0, "finish_reason": "length"}
    answer = {"id": "c", "choices": [choice], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
    async with Upstream(whole(answer)) as up, running(tmp_path, one_target(up.url)) as run:
        got = await ask(run.port, "/v1/completions", {"model": "up/babbage-002", "prompt": "x", "stream": True})
        entry = await run.entry()
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in got.events[:-1]]
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "hi"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert entry.usage is not None
    assert entry.usage.output == 2


# ── No way around the stages ───────────────────────────────────────────────────────────────────────────────────────

MINE = [surface for surface in SURFACES if surface.operation not in {"generate", "count_tokens", "response"}]


async def test_each_endpoint_asks_for_a_key_and_is_counted(tmp_path: Path) -> None:
    sections = SIMULATED | {"auth": "required", "admin_key": "a" * 40}
    blanks = {"model": "sim%2Fm", "project": "p", "location": "l", "publisher": "google"}
    async with running(tmp_path, sections, begin=True) as run:
        await until(lambda: run.gateway.stores.ring.loaded, "the keys")
        for surface in MINE:
            got = await ask(run.port, surface.path.format(**blanks), {"model": "sim/m", "input": "x"})
            assert got.status == 401, surface.path
        scrape = exposition(run.gateway.meters.total())[0].decode()
    assert sum(f'surface="{surface.path}"' in scrape for surface in MINE) == len(MINE)
