"""`generationConfig`: everything that says how to answer."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from trunkline.core.request import OutputFormat, Reasoning, Request
from trunkline.dialects.base import Quirks
from trunkline.dialects.effort import budget_of, effort_of, nearest
from trunkline.dialects.gemini.schema import simplified
from trunkline.dialects.gemini.vocabulary import NAME
from trunkline.dialects.mapping import EFFORTS, GEMINI, LEVELS, STOPS

_PLAIN: Mapping[str, str] = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "n": "candidateCount",
}
"""Fields that say the same by another name."""

_ROWS = tuple(_PLAIN.items())
_plain = attrgetter(*_PLAIN)
_UNSET = (None,) * len(_PLAIN)
_ASKS_NOTHING: Mapping[str, Any] = {"n": 1, "logprobs": False, "top_logprobs": 0}
"""Values that mean what happens anyway, and that some models refuse all the same."""


class Generation:
    """`own`: the request came in by this dialect. `lost` collects paths."""

    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.own = request.dialect == NAME

    def config(self, tools: bool) -> dict[str, Any]:
        """`tools`: whether functions are declared."""
        request, out = self.request, dict[str, Any]()
        if (values := _plain(request)) != _UNSET:
            said = [(row, value) for row, value in zip(_ROWS, values, strict=True) if value is not None]
            for (attribute, name), value in said:
                if (self.own or _ASKS_NOTHING.get(attribute) != value) and self._takes(attribute):
                    out[name] = value
        if request.stop and self._takes("stop"):
            out["stopSequences"] = self._stops(request.stop)
        if request.output is not None and self._takes("output"):
            out |= self._output(request.output, tools)
        if request.reasoning is not None and self._takes("reasoning"):
            out |= self._thinking(request.reasoning)
        return out

    def _takes(self, attribute: str) -> bool:
        """Whether this model takes the field; a refused one is reported."""
        if attribute in self.quirks.drop:
            self.lost.append(self.request.name_of(attribute))
            return False
        return True

    def _stops(self, asked: list[str]) -> list[str]:
        most = STOPS[GEMINI].most
        if most is None or len(asked) <= most:
            return asked
        self.lost.append(self.request.name_of("stop"))
        return asked[:most]

    def _output(self, output: OutputFormat, tools: bool) -> dict[str, Any]:
        """JSON. Before Gemini 3 the service refused it beside functions; a function's call is JSON by itself, so the
        tools stay and the format goes."""
        if tools and not self.quirks.json_with_tools:
            self.lost.append(self.request.name_of("output"))
            return {}
        if output.description is not None:
            self.lost.append(f"{self.request.name_of('output')}.json_schema.description")
        out: dict[str, Any] = {"responseMimeType": "application/json"}
        if output.schema is not None:
            if self.quirks.json_schema:
                out["responseJsonSchema"] = output.schema
            else:
                out["responseSchema"] = simplified(output.schema)
        return out

    def _thinking(self, reasoning: Reasoning) -> dict[str, Any]:
        """Thoughts are shown to whoever asks for thinking, unless they shall not be: they are paid for either way."""
        shown = reasoning.display == "summarized" if self.own else reasoning.display != "omitted"
        config = self._budget(reasoning) if self._by_budget(reasoning) else self._level(reasoning)
        if shown and config.get("thinkingBudget") != 0:
            config["includeThoughts"] = True
        elif self.own and reasoning.display == "omitted":
            config["includeThoughts"] = False
        return {"thinkingConfig": config} if config else {}

    def _by_budget(self, reasoning: Reasoning) -> bool:
        """Newer models take a budget too, from those who have always said one."""
        return self.quirks.thinking_budget or (self.own and reasoning.budget is not None)

    def _budget(self, reasoning: Reasoning) -> dict[str, Any]:
        if effort_of(reasoning) == "none":
            return {"thinkingBudget": 0}
        if self.own and reasoning.budget is None and reasoning.effort is None:
            return {}
        budget = budget_of(reasoning)
        if budget is None:  # a level that nobody knows
            self.lost.append(self.request.name_of("reasoning"))
            return {}
        return {"thinkingBudget": budget}

    def _level(self, reasoning: Reasoning) -> dict[str, Any]:
        wanted = effort_of(reasoning)
        if wanted is None or (reasoning.effort is None and reasoning.budget is None and wanted != "none"):
            return {}  # thinking, and no more said: how hard is the model's own choice
        if wanted not in LEVELS:
            self.lost.append(self.request.name_of("reasoning"))
            return {}
        level, changed = nearest(wanted, self.quirks.efforts)
        if changed or (reasoning.budget is not None and reasoning.effort is None):
            self.lost.append(self.request.name_of("reasoning"))
        said = EFFORTS[GEMINI].said.get(level)
        return {"thinkingLevel": said} if said else {}
