"""LangChain's standard tests for ChatBedrockConverse: what passes against the simulator itself passes through the
gateway, to the same family and to others."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import boto3
import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.language_models import BaseChatModel

from .langchain_support import Standard

pytestmark = [
    # LangChain tells of the placeholder that it sends where a document has no name.
    pytest.mark.filterwarnings("ignore:Bedrock Converse may require a filename:UserWarning"),
]
OVERRIDDEN = dict.fromkeys(
    (
        "test_invoke_with_model_override", "test_ainvoke_with_model_override", "test_stream_with_model_override",
        "test_astream_with_model_override",
    ),
    "langchain-aws takes no model that is named at the call",
)  # fmt: skip


@cache
def _client(url: str, service: str) -> Any:
    """Made once: it reads megabytes of descriptions."""
    return boto3.client(
        service, region_name="us-east-1", endpoint_url=url, aws_access_key_id="any", aws_secret_access_key="unused"
    )


class TestDirect(Standard):
    through = "simulator"
    chosen = "anthropic.claude-small"
    cannot: ClassVar = OVERRIDDEN | {
        "test_anthropic_inputs": "it replays thinking that a real model signed; the simulator knows its own alone",
        "test_pdf_inputs": "one of its documents is called test_file.pdf, and Converse allows no such name",
    }
    supports_image_urls = False  # Converse takes bytes alone

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatBedrockConverse

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "client": _client(self.url, "bedrock-runtime"), "bedrock_client": _client(self.url, "bedrock"),
            "model": self.chosen, "provider": "anthropic", "disable_streaming": False,
            "supports_tool_choice_values": ("auto", "any", "tool"),
        }  # fmt: skip

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {kind: ["cache_read_input"] for kind in ("invoke", "stream")}


class TestToTheSameFamily(TestDirect):
    through = "gateway"


class TestToOpenAI(TestToTheSameFamily):
    chosen = "chat-small"
    cannot: ClassVar = OVERRIDDEN


class TestToAnthropic(TestToOpenAI):
    chosen = "messages-small"
