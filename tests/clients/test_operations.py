"""What the makers' own clients ask besides chat, at every kind of provider: vectors first, then the rest of OpenAI's
API. The clients that block run in threads beside the gateway."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import openai
import pytest
import pytest_asyncio
from botocore.config import Config
from google import genai
from google.genai import types as google
from google.oauth2.credentials import Credentials

from tests.running import Running, running
from trunkline.sim.vectors import vector

TARGETS = {
    "openai": "sim/text-embedding-3-small",
    "azure": "sim-azure/text-embedding-3-small",
    "gemini": "sim-gemini/gemini-embedding-001",
    "vertex": "sim-vertex/gemini-embedding-001",
    "predict": "sim-vertex/text-embedding-005",
    "titan": "sim-bedrock/amazon.titan-embed-text-v2:0",
    "cohere": "sim-bedrock/cohere.embed-v4:0",
    "nova": "sim-bedrock/amazon.nova-2-multimodal-embeddings-v1:0",
}
SIZE = 256
TEXTS = ["the cat sat", "on the mat", "and slept"]
WANTED = [pytest.approx(vector(text, SIZE), abs=1e-6) for text in TEXTS]

KEY = "k" * 20

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The SDK's word on translations of sound."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("operations"), {"providers": {}}) as run:
        yield run


def openai_client(run: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{run.url}/v1", api_key=KEY, max_retries=0, timeout=20)


def azure_client(run: Running) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(azure_endpoint=run.url, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=20)


def openai_vectors(run: Running, target: str, **fields: Any) -> list[list[float]]:
    with openai_client(run) as client:
        answer = client.embeddings.create(model=target, input=TEXTS, dimensions=SIZE, **fields)
    assert answer.usage.prompt_tokens > 0
    return [row.embedding for row in answer.data]


def azure_vectors(run: Running, target: str) -> list[list[float]]:
    with azure_client(run) as client:
        return [row.embedding for row in client.embeddings.create(model=target, input=TEXTS, dimensions=SIZE).data]


def google_vectors(run: Running, target: str, version: str) -> list[list[float]]:
    client = genai.Client(api_key=KEY, http_options=google.HttpOptions(base_url=run.url, api_version=version))
    return _googles(client, target, TEXTS)


def _googles(client: genai.Client, target: str, texts: list[str]) -> list[list[float]]:
    config = google.EmbedContentConfig(output_dimensionality=SIZE, task_type="RETRIEVAL_QUERY")
    answer = client.models.embed_content(model=target, contents=list(texts), config=config)
    return [row.values or [] for row in answer.embeddings or []]


def amazon(run: Running) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=run.url,
        aws_access_key_id=KEY,
        aws_secret_access_key="unused",
        config=Config(retries={"max_attempts": 0}),
    )


def titan_vectors(run: Running, target: str) -> list[list[float]]:
    client, found = amazon(run), []
    for text in TEXTS:
        body = json.dumps({"inputText": text, "dimensions": SIZE, "normalize": True})
        answer = client.invoke_model(modelId=target, body=body)
        found.append(json.loads(answer["body"].read())["embedding"])
    return found


def cohere_vectors(run: Running, target: str) -> list[list[float]]:
    body = {"texts": TEXTS, "input_type": "search_query", "embedding_types": ["float"], "output_dimension": SIZE}
    answer = amazon(run).invoke_model(modelId=target, body=json.dumps(body))
    vectors: list[list[float]] = json.loads(answer["body"].read())["embeddings"]["float"]
    return vectors


def vertex_vectors(run: Running, target: str) -> list[list[float]]:
    """Where the model's name says Gemini the SDK asks for contents, and for predictions elsewhere."""
    client = genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=Credentials(token=KEY),
        http_options=google.HttpOptions(base_url=run.url),
    )
    return _googles(client, target, TEXTS)


CLIENTS: dict[str, Callable[[Running, str], list[list[float]]]] = {
    "openai": openai_vectors,
    "openai-floats": lambda run, target: openai_vectors(run, target, encoding_format="float"),
    "azure": azure_vectors,
    "google-v1": lambda run, target: google_vectors(run, target, "v1"),
    "google-v1beta": lambda run, target: google_vectors(run, target, "v1beta"),
    "google-vertex": vertex_vectors,
    "boto3-titan": titan_vectors,
    "boto3-cohere": cohere_vectors,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_vectors(gateway: Running, client: str, target: str) -> None:
    found = await asyncio.to_thread(CLIENTS[client], gateway, TARGETS[target])
    assert found == WANTED


async def test_what_cannot_embed_is_an_error_of_the_clients_own(gateway: Running) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(openai_vectors, gateway, "sim-anthropic/sim-small")
    assert refused.value.code == "unsupported_operation"
    with pytest.raises(amazon(gateway).exceptions.ValidationException, match="sim-anthropic/sim-small"):
        await asyncio.to_thread(titan_vectors, gateway, "sim-anthropic/sim-small")


async def test_token_ids_go_to_openais_models_alone(gateway: Running) -> None:
    def ask(target: str) -> int:
        with openai_client(gateway) as client:
            return len(client.embeddings.create(model=target, input=[[1, 2], [3]]).data)

    assert await asyncio.to_thread(ask, TARGETS["openai"]) == 2
    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(ask, TARGETS["gemini"])
    assert refused.value.param == "input"


# ── Completions ────────────────────────────────────────────────────────────────────────────────────────────────────

COMPLETING = ["sim/gpt-3.5-turbo-instruct", "sim/sim-small", "sim-anthropic/sim-small", "sim-gemini/sim-small"]


@pytest.mark.parametrize("target", COMPLETING)
async def test_completions(gateway: Running, target: str) -> None:
    def ask() -> Any:
        with openai_client(gateway) as client:
            return client.completions.create(model=target, prompt="Say this is a test", max_tokens=50)

    answer = await asyncio.to_thread(ask)
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("target", COMPLETING)
async def test_completions_streamed(gateway: Running, target: str) -> None:
    def ask() -> list[Any]:
        with openai_client(gateway) as client:
            options = {"include_usage": True}
            return list(client.completions.create(
                model=target, prompt="Say this is a test", max_tokens=50, stream=True, stream_options=options
            ))  # fmt: skip

    chunks = await asyncio.to_thread(ask)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in {"stop", "length"}
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("field", "value"), [("suffix", "x"), ("echo", True), ("best_of", 2), ("logprobs", 1), ("prompt", ["a", "b"])]
)
async def test_what_a_chat_cannot_complete_is_refused_by_name(gateway: Running, field: str, value: Any) -> None:
    def ask() -> None:
        with openai_client(gateway) as client:
            client.completions.create(**{"model": "sim-anthropic/sim-small", "prompt": "x", field: value})

    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(ask)
    assert refused.value.param == field


# ── The rest of OpenAI's API ───────────────────────────────────────────────────────────────────────────────────────


def moderate(client: openai.OpenAI, model: str) -> None:
    assert client.moderations.create(model=model, input="pure violence").results[0].flagged


def draw(client: openai.OpenAI, model: str) -> None:
    answer = client.images.generate(model=model, prompt="a cat")
    assert (answer.data or [])[0].b64_json


def speak(client: openai.OpenAI, model: str) -> None:
    sound = client.audio.speech.create(model=model, input="hi", voice="alloy", response_format="wav")
    assert sound.content[:4] == b"RIFF"


def _sound() -> tuple[str, io.BytesIO]:
    return "speech.wav", io.BytesIO(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64))


def transcribe(client: openai.OpenAI, model: str) -> None:
    assert client.audio.transcriptions.create(model=model, file=_sound()).text


def transcribe_streamed(client: openai.OpenAI, model: str) -> None:
    events = list(client.audio.transcriptions.create(model=model, file=_sound(), stream=True))
    assert events[-1].type == "transcript.text.done"


def translate(client: openai.OpenAI, model: str) -> None:
    assert client.audio.translations.create(model=model, file=_sound()).text


OPERATIONS: dict[Callable[[openai.OpenAI, str], None], str] = {
    moderate: "omni-moderation-latest",
    draw: "gpt-image-1",
    speak: "gpt-4o-mini-tts",
    transcribe: "gpt-4o-transcribe",
    transcribe_streamed: "gpt-4o-transcribe",
    translate: "whisper-1",
}


AZURES = [operation for operation in OPERATIONS if operation is not moderate]
"""Azure moderates nothing: its clients have no path for it."""


@pytest.mark.parametrize(
    ("operation", "provider", "make"),
    [
        *((operation, "sim", openai_client) for operation in OPERATIONS),
        *((operation, "sim", azure_client) for operation in AZURES),
        *((operation, "sim-azure", openai_client) for operation in AZURES),
        *((operation, "sim-azure", azure_client) for operation in AZURES),
    ],
)
async def test_operations(
    gateway: Running,
    operation: Callable[[openai.OpenAI, str], None],
    provider: str,
    make: Callable[[Running], openai.OpenAI],
) -> None:
    def ask() -> None:
        with make(gateway) as client:
            operation(client, f"{provider}/{OPERATIONS[operation]}")

    before = len(gateway.entries())
    await asyncio.to_thread(ask)
    entry = gateway.entries()[before]
    assert entry.status == 200
    assert entry.target == f"{provider}/{OPERATIONS[operation]}"
    assert entry.bytes_out > 0


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
async def test_operations_elsewhere_say_so(gateway: Running, operation: Callable[[openai.OpenAI, str], None]) -> None:
    def ask() -> None:
        with openai_client(gateway) as client:
            operation(client, "sim-gemini/sim-small")

    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(ask)
    assert refused.value.code == "unsupported_operation"
