"""Dialects within dialects: bodies of one family in the envelope of another's host."""

from __future__ import annotations

from trunkline.core.call import Peek
from trunkline.dialects import bedrock, openai_chat
from trunkline.dialects.anthropic.hosted import HostedAnthropic
from trunkline.dialects.base import Dialect
from trunkline.dialects.bedrock.invoke import Invoke
from trunkline.dialects.completions import Completions

VERTEX_CLAUDE: Dialect = HostedAnthropic("vertex-2023-10-16", frozenset({"model"}))
"""Claude on Vertex AI: rawPredict and streamRawPredict."""

VERTEX_CLAUDE_COUNT: Dialect = HostedAnthropic("vertex-2023-10-16", frozenset())
"""Its counting endpoint, whose path names no model: there it stays in the body."""

COMPLETIONS: Dialect = Completions(openai_chat.DIALECT)
"""OpenAI's legacy text completions, which share chat's streams, usage and errors."""

INVOKE: Dialect = Invoke(HostedAnthropic("bedrock-2023-05-31", frozenset({"model", "stream"})))
"""InvokeModel on Bedrock, where Claude's bodies are Anthropic's."""

CONVERSE: Dialect = bedrock.Converse(lambda body, model: INVOKE.read_request(body, Peek(model)))
"""Bedrock's own format, for all models there."""
