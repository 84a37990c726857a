"""The clients of the matrix, each as an application would point it at the gateway, and the providers behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import boto3
import openai
from botocore.config import Config
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from .drivers import KEY
from .families import Speaker
from .speakers_amazon import Converse, Invoke
from .speakers_anthropic import Messages
from .speakers_google import Contents
from .speakers_openai import Chat, Responses

PROVIDERS = ("sim", "sim-azure", "sim-anthropic", "sim-gemini", "sim-vertex", "sim-bedrock")
PATIENCE = 20
"""Seconds."""


def _openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=PATIENCE)


def _azure(url: str) -> Speaker:
    client = openai.AzureOpenAI(
        azure_endpoint=url, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=PATIENCE
    )
    return Chat("azure", client)


def _anthropic(url: str) -> Speaker:
    return Messages(anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=PATIENCE))


def _studio(url: str, version: str) -> Speaker:
    options = types.HttpOptions(base_url=url, api_version=version, timeout=PATIENCE * 1000)
    return Contents(f"google-{version}", genai.Client(api_key=KEY, http_options=options))


def _vertex(url: str) -> Speaker:
    options = types.HttpOptions(base_url=url, timeout=PATIENCE * 1000)
    token = Credentials(token=KEY)
    client = genai.Client(vertexai=True, project="p", location="us-central1", credentials=token, http_options=options)
    return Contents("vertex", client)


def _bedrock(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key="unused",
        config=Config(retries={"max_attempts": 0}, read_timeout=PATIENCE),
    )


SPEAKERS: dict[str, Callable[[str], Speaker]] = {
    "openai": lambda url: Chat("openai", _openai(url)),
    "responses": lambda url: Responses(_openai(url)),
    "azure": _azure,
    "anthropic": _anthropic,
    "google-v1": lambda url: _studio(url, "v1"),
    "google-v1beta": lambda url: _studio(url, "v1beta"),
    "vertex": _vertex,
    "converse": lambda url: Converse(_bedrock(url)),
    "invoke": lambda url: Invoke(_bedrock(url)),
}
"""How each is made for a gateway's address."""
COUNTING = tuple(name for name in SPEAKERS if name not in {"openai", "azure"})
"""Those that have a call that counts tokens: Chat Completions has none."""
