"""What the runs of LangChain's standard tests have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests

from .processes import Servers

LONG = "word " * 1500
"""Longer than the least prefix that a provider caches."""


class Standard(ChatModelIntegrationTests):
    """The standard tests with every feature on that both families have. `through` says which server is asked."""

    through: ClassVar[str] = "gateway"
    chosen: ClassVar[str]
    cannot: ClassVar[Mapping[str, str]] = {}
    """Tests that must fail on this route, and why."""

    @pytest.fixture(autouse=True)
    def address(self, running: Servers, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
        if reason := self.cannot.get(request.function.__name__):
            request.applymarker(pytest.mark.xfail(reason=reason))
        self.url = getattr(running, self.through)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")
        monkeypatch.setattr(httpx, "get", _download)

    @property
    def model_override_value(self) -> str:
        return self.chosen.replace("small", "large")

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        self._ask(LONG, stream)
        return self._ask(LONG, stream)

    def _ask(self, prompt: Any, stream: bool, **options: Any) -> AIMessage:
        """One answer, of a stream its pieces joined."""
        model = self.chat_model_class(**self.chat_model_params, **self.standard_chat_model_params, **options)
        if not stream:
            answer = model.invoke(prompt)
        else:
            first, *rest = model.stream(prompt)
            answer = sum(rest, first)  # type: ignore[assignment]
        assert isinstance(answer, AIMessage)
        return answer


def _download(url: str, **options: Any) -> httpx.Response:
    """The standard tests fetch their picture, document and sound from the internet; the simulator looks into none."""
    return httpx.Response(200, content=b"a file", request=httpx.Request("GET", url))
