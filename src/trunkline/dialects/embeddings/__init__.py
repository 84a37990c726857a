"""The wire formats of embeddings, by name: a surface's `form`, and what follows `embed:` among a provider's paths."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

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


_ABSENT = Raw()


class _Invoked(Struct, rename="camel"):
    input_text: Raw = _ABSENT
    text_generation_config: Raw = _ABSENT
    texts: Raw = _ABSENT
    images: Raw = _ABSENT
    task_type: Raw = _ABSENT


_invoked = msgspec.json.Decoder(_Invoked).decode


def invoked(body: bytes) -> str | None:
    """The format of a body for Bedrock's InvokeModel, whose path is that of all models; None where it asks for no
    embedding. Titan's text models share `inputText` and have their settings beside it."""
    try:
        fields = _invoked(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads it says what is wrong with it
    if fields.input_text and not fields.text_generation_config:
        return "titan"
    if fields.texts or fields.images:
        return "cohere"
    return "nova" if fields.task_type else None


FORMATS: Mapping[str, Format] = {each.name: each for each in _ALL}
