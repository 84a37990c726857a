"""LangChain's standard tests for ChatOpenAI: what passes against the simulator itself passes through the gateway, to
the same family and to the other."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from .langchain_support import Standard

pytestmark = [
    # LangChain tells of the placeholder that it sends where a document has no name,
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
    # of the method that it takes for models of Pydantic's first version,
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
    # and dumps the SDK's parsed answer in a way that Pydantic warns of.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]


class TestDirect(Standard):
    through = "simulator"
    chosen = "chat-small"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Usage in streams is off by default at any address but OpenAI's.
        return {"base_url": f"{self.url}/v1", "api_key": "any", "model": self.chosen, "stream_usage": True}

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
        return self._ask("hello", stream, reasoning_effort="low")


class TestToTheSameFamily(TestDirect):
    through = "gateway"


class TestToAzure(TestToTheSameFamily):
    chosen = "azure-small"


class TestToAnthropic(TestToTheSameFamily):
    chosen = "messages-small"
    cannot: ClassVar = {
        "test_json_mode": "Anthropic has no JSON mode without a schema; `response_format` is reported as lost"
    }
