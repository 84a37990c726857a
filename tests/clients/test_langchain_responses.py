"""LangChain's standard tests for ChatOpenAI on the Responses API: what passes against the simulator itself passes
through the gateway, to the same family and to others."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from .langchain_support import Standard

pytestmark = [
    # The same that is told of for Chat Completions.
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
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
        return {"base_url": f"{self.url}/v1", "api_key": "any", "model": self.chosen, "use_responses_api": True}

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {kind: ["reasoning_output", "cache_read_input"] for kind in ("invoke", "stream")}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._ask("hello", stream, reasoning={"effort": "low"})


class TestToTheSameFamily(TestDirect):
    through = "gateway"


class TestToAzure(TestToTheSameFamily):
    chosen = "azure-small"


class TestToAnthropic(TestToTheSameFamily):
    chosen = "messages-small"


class TestToGemini(TestToTheSameFamily):
    chosen = "gemini-small"


class TestToBedrock(TestToTheSameFamily):
    chosen = "anthropic.claude-small"
