"""LangChain's standard tests for ChatAnthropic: what passes against the simulator itself passes through the gateway,
to the same family and to the other."""

from __future__ import annotations

from typing import Any, ClassVar

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from .langchain_support import LONG, Standard


class TestDirect(Standard):
    through = "simulator"
    chosen = "messages-small"
    cannot: ClassVar = {
        "test_anthropic_inputs": "it replays thinking that a real model signed; the simulator knows its own alone"
    }

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": "any", "model": self.chosen}

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {kind: ["cache_read_input", "cache_creation_input"] for kind in ("invoke", "stream")}

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        block = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
        return self._ask([HumanMessage([block])], stream)


class TestToTheSameFamily(TestDirect):
    through = "gateway"


class TestToOpenAI(TestToTheSameFamily):
    chosen = "chat-small"
    cannot: ClassVar = {}


class TestToAzure(TestToOpenAI):
    chosen = "azure-small"
