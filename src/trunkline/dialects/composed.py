"""Dialects within dialects: bodies of one family in the envelope of another's host."""

from __future__ import annotations

from trunkline.dialects import bedrock
from trunkline.dialects.anthropic.hosted import HostedAnthropic
from trunkline.dialects.base import Dialect

VERTEX_CLAUDE: Dialect = HostedAnthropic("vertex-2023-10-16", frozenset({"model"}))
"""Claude on Vertex AI: rawPredict and streamRawPredict."""

VERTEX_CLAUDE_COUNT: Dialect = HostedAnthropic("vertex-2023-10-16", frozenset())
"""Its counting endpoint, whose path names no model: there it stays in the body."""

CONVERSE: Dialect = bedrock.Converse()
"""Bedrock's own format, for all models there."""
