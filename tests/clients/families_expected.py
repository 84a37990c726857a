"""What is otherwise in a cell of the matrix than "works, and nothing is lost": told for each scenario, client and
provider, so that nothing passes by accident."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    lost: tuple[str, ...] = ()
    """In the client's own words; `answer:` where it is of the answer."""
    error: str = ""
    """The class that the client raises, as its speaker names it."""
    says: str = ""
    """What the error's text holds."""
    thoughts: bool = True
    """The client sees thoughts where it asks for them."""
    proofs: bool = True
    """The provider gets back what it signed."""


@dataclass(frozen=True)
class Row:
    scenarios: str
    """Names."""
    clients: str
    """Names, or `*`."""
    targets: str
    """Names without `sim-`, or `*`."""
    expected: Expected
    ways: str = "whole streamed"

    def holds(self, scenario: str, way: str, client: str, target: str) -> bool:
        return (
            scenario in self.scenarios.split()
            and way in self.ways.split()
            and (self.clients == "*" or client in self.clients.split())
            and (self.targets == "*" or target.removeprefix("sim-") in self.targets.split())
        )


_OPENAI, _GOOGLE = "sim azure", "gemini vertex"
_THINKING = "reasoning_over_two_turns"
_BUDGET = ("additionalModelRequestFields.thinking.budget_tokens",)
_BUDGETED = ("additionalModelRequestFields.thinking",)
_THOUGHT = "messages[{}].content[0].reasoningContent"


ROWS: tuple[Row, ...] = (
    Row("document", "openai azure anthropic invoke", _GOOGLE, Expected(("messages[0].content[1].title",))),
    Row("document", "responses", _GOOGLE, Expected(("input[0].content[1].title",))),
    Row("document", "converse", _GOOGLE, Expected(("messages[0].content[1].document.title",))),
    # Responses' SDK says `strict` of each tool; Gemini has no word for it.
    Row("tool_over_two_turns", "responses", _GOOGLE, Expected(("tools[0].strict",))),
    Row(
        "parallel_tools stream_and_whole_agree", "responses", _GOOGLE,
        Expected(("tools[0].strict", "tools[1].strict")),
    ),
    # Responses has no stop sequences. OpenAI says so; elsewhere the field is one that nobody knows.
    Row("stop_sequence", "responses", _OPENAI, Expected(error="BadRequestError", says="Unknown parameter: 'stop'")),
    Row("stop_sequence", "responses", "*", Expected(("stop",))),
    # Chat has no thoughts: a chat client does not see them, and OpenAI's chat does not get them back.
    Row(_THINKING, "openai azure", _OPENAI, Expected(thoughts=False, proofs=False)),
    Row("reasoning_on_another_surface", "openai azure", _OPENAI, Expected(thoughts=False)),
    # Gemini signs its calls and not its thoughts, which need not come back.
    Row(
        _THINKING, "openai azure", _GOOGLE,
        Expected(("messages[1].reasoning_content", "messages[3].reasoning_content")),
    ),
    Row(_THINKING, "anthropic invoke", _GOOGLE, Expected(("messages[1].content[0]", "messages[3].content[0]"))),
    Row(_THINKING, "responses", _GOOGLE, Expected(("tools[0].strict", "input[1]", "input[4]"))),
    # Levels have been made of a budget. Converse has no place for the signature of a text.
    Row(_THINKING, "converse", _GOOGLE, Expected((*_BUDGETED, _THOUGHT.format(1), _THOUGHT.format(3))), "streamed"),
    Row(
        _THINKING, "converse", _GOOGLE,
        Expected((*_BUDGETED, _THOUGHT.format(1), "answer:content.signature", _THOUGHT.format(3))),
    ),
    Row(f"{_THINKING} reasoning_on_another_surface", "converse", _OPENAI, Expected(_BUDGET)),
)  # fmt: skip


def expected(scenario: str, way: str, client: str, target: str) -> Expected:
    """The first row that holds; without one, all works and nothing is lost."""
    return next((row.expected for row in ROWS if row.holds(scenario, way, client, target)), Expected())
