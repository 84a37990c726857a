"""LangChain's standard tests for ChatGoogleGenerativeAI: what passes against the simulator itself passes through the
gateway, to the same family and to others."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_google_genai import ChatGoogleGenerativeAI

from .langchain_support import Standard

pytestmark = [
    # The client of Google's SDK for asynchronous calls is made in a way that aiohttp discourages.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]
OVERRIDDEN = "langchain-google-genai puts a model that is named at the call among the settings, where it is refused"


class TestDirect(Standard):
    through = "simulator"
    chosen = "gemini-small"
    cannot: ClassVar = dict.fromkeys(
        (
            "test_invoke_with_model_override",
            "test_ainvoke_with_model_override",
            "test_stream_with_model_override",
            "test_astream_with_model_override",
        ),
        OVERRIDDEN,
    )
    supports_image_urls = False  # it fetches them itself
    supports_anthropic_inputs = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatGoogleGenerativeAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": "any", "model": self.chosen}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {kind: ["reasoning_output", "cache_read_input"] for kind in ("invoke", "stream")}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._ask("hello", stream, thinking_budget=1024)


class TestToTheSameFamily(TestDirect):
    through = "gateway"


class TestToOpenAI(TestToTheSameFamily):
    chosen = "chat-small"


class TestToAnthropic(TestToTheSameFamily):
    chosen = "messages-small"
