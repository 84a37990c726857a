"""The wire formats of embeddings, by name: a surface's `form`, and what follows `embed:` among a provider's paths."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.dialects.embeddings.base import Format
from trunkline.dialects.embeddings.cohere import Cohere
from trunkline.dialects.embeddings.gemini import Gemini
from trunkline.dialects.embeddings.nova import Nova
from trunkline.dialects.embeddings.openai import OpenAI
from trunkline.dialects.embeddings.predict import Predict
from trunkline.dialects.embeddings.titan import Titan

_ALL: tuple[Format, ...] = (
    OpenAI(),
    Gemini("gemini", batch=False, nested=False),
    Gemini("gemini-batch", batch=True, nested=False),
    Gemini("vertex", batch=False, nested=True),
    Gemini("vertex-batch", batch=True, nested=True),
    Predict(),
    Titan(),
    Cohere(),
    Nova(),
)

FORMATS: Mapping[str, Format] = {each.name: each for each in _ALL}
