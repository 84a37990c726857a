"""Log-probabilities of tokens: Google's two parallel lists, and the one list of objects that the core keeps."""

from __future__ import annotations

from typing import Any


def read_logprobs(wire: dict[str, Any]) -> dict[str, Any]:
    """`logprobsResult` as `{"content": [...]}`. Raises TypeError, KeyError, AttributeError on another shape."""
    tops = wire.get("topCandidates") or []
    content = []
    for position, chosen in enumerate(wire.get("chosenCandidates") or ()):
        top = tops[position].get("candidates") or [] if position < len(tops) else []
        content.append(_read(chosen) | {"top_logprobs": [_read(each) for each in top]})
    return {"content": content}


def _read(wire: dict[str, Any]) -> dict[str, Any]:
    token = wire.get("token", "")
    return {"token": token, "logprob": wire.get("logProbability", 0.0), "bytes": list(token.encode())}


def write_logprobs(data: dict[str, Any]) -> dict[str, Any]:
    tokens = data.get("content") or []
    return {
        "chosenCandidates": [_write(each) for each in tokens],
        "topCandidates": [{"candidates": [_write(top) for top in each.get("top_logprobs") or ()]} for each in tokens],
    }


def _write(token: dict[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0.0)}
