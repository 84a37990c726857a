"""What a vector is for, in each family's words: the one table.

OpenAI's models know no purposes; on its surface the field `input_type`, which several compatible hosts take, may say
one in any family's words. Sources: Gemini API, "Embeddings: task types"; Cohere, "Embed API: input_type"; Amazon Nova,
"Multimodal Embeddings: embeddingPurpose"; all as of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from trunkline.core.embedding import Purpose
from trunkline.core.errors import BadRequest

GEMINI: Mapping[Purpose, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "question": "QUESTION_ANSWERING",
    "fact": "FACT_VERIFICATION",
    "code": "CODE_RETRIEVAL_QUERY",
}

COHERE: Mapping[Purpose, str] = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}

NOVA: Mapping[Purpose, str] = {
    "query": "TEXT_RETRIEVAL",
    "document": "GENERIC_INDEX",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}

NEAREST: Mapping[Purpose, Purpose] = {
    "question": "query",
    "fact": "query",
    "code": "query",
    "similarity": "clustering",
}
"""What comes closest where a family has no word, which is then reported as lost."""

_OTHER_WORDS: Mapping[str, Purpose | None] = {
    "generic_retrieval": "query",
    "image_retrieval": "query",
    "task_type_unspecified": None,
}


def _known() -> dict[str, Purpose | None]:
    words: dict[str, Purpose | None] = {name: name for name in get_args(Purpose)}
    for table in (GEMINI, COHERE, NOVA):
        words |= {word.lower(): purpose for purpose, word in table.items()}
    words.update(_OTHER_WORDS)
    return words


_WORDS = _known()


def read_purpose(word: Any, at: str) -> Purpose | None:
    """A family's word for it. Raises BadRequest naming `at`."""
    if word is None:
        return None
    if not isinstance(word, str) or word.lower() not in _WORDS:
        raise BadRequest(f"{at} must be one of {', '.join(sorted(_WORDS))}.", param=at)
    return _WORDS[word.lower()]


def write_purpose(purpose: Purpose, words: Mapping[Purpose, str]) -> tuple[str, bool]:
    """The family's word, and whether it says all of it."""
    if purpose in words:
        return words[purpose], True
    return words[NEAREST[purpose]], False
