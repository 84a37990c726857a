"""LangChain's standard unit tests for both chat models, made as they are for a gateway: nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

GATEWAY = "http://127.0.0.1:4000"
KEY = "any"

# One of the ways of structured output that all models are asked for is none of Anthropic's; LangChain takes another.
pytestmark = pytest.mark.filterwarnings("ignore:Unrecognized structured output method:UserWarning")


@pytest.fixture
def benchmark(benchmark: Any) -> Any:
    """pytest-benchmark's, called once: nothing is measured, no table is printed."""
    benchmark.disabled = True
    return benchmark


class TestChatOpenAI(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": f"{GATEWAY}/v1", "api_key": KEY, "model": "sim/sim-small"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": f"{GATEWAY}/v1"}
        expected = {"openai_api_key": KEY, "openai_api_base": f"{GATEWAY}/v1"}
        return environment, {"model": "sim/sim-small"}, expected


class TestChatAnthropic(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": GATEWAY, "api_key": KEY, "model": "sim/sim-small"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_API_URL": GATEWAY}
        expected = {"anthropic_api_key": KEY, "anthropic_api_url": GATEWAY}
        return environment, {"model": "sim/sim-small"}, expected
