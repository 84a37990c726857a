"""How much a call takes of each of its limits when it is admitted: what is likely, and of budgets the most that it can
use.

`measured` says it of any call. `usual` says the same, in one step, of the calls that most are: texts of chat clients
for a model whose targets are alike.
"""

from __future__ import annotations

from trunkline.core.call import Call
from trunkline.core.errors import CostUnknown
from trunkline.core.stores import Tariff
from trunkline.dialects.asked import asked
from trunkline.policy.estimate import TOKENS_PER_FILE
from trunkline.stages.admission.plan import Plan
from trunkline.stages.admission.room import UNSEEN, Bound, bound_of, spelt
from trunkline.stages.admission.spelling import misspelt

_MEASURED = frozenset({"generate", "complete", "embed"})
"""Operations whose request says how much they use: all but the last say how long the answer may be."""
_UNMEASURED = frozenset({"image", "speech", "transcribe"})
"""Operations whose use is known afterwards, if at all."""
_NO_BOUND: Bound = (0, 0, 0, "what this endpoint uses is known only afterwards")
_FREE: Bound = (0, 0, 0, "")


def usual(call: Call, plan: Plan, prices: Tariff) -> tuple[int, ...] | None:
    """What `measured` comes to; None: this call is none of the usual ones."""
    peek = call.peek
    streams = 1 if peek is not None and peek.stream else 0
    if not plan.counted:
        return plan.taken((1, 0, 0, 0, 0, 1, streams))
    room, body, surface = plan.room, call.body, call.surface
    if room is None or peek is None or not peek.plain or surface.operation != "generate" or call.follows is not None:
        return None
    if (body.find(b"\\") >= 0 and spelt(body) is not body) or (room.folds and misspelt(body) is not None):
        return None
    said = asked(body, surface.dialect.name, peek.framing, peek.said)
    if not said.alone:
        return None
    size, limit = len(body), said.output
    most_input, most_output = size + UNSEEN, room.output
    if room.input is not None and room.input < most_input:
        most_input = room.input
    if limit is not None and room.heeds and (room.newer or not said.newer):
        most_output = limit if most_output is None or limit < most_output else most_output
    if most_output is None:
        return None
    cost = prices.ceiling(room.price_model, call.arrived, most_input, most_output) if plan.priced else 0
    if cost is None:
        return None
    prompt, answer = plan.expectation.of(size, limit)
    taken = plan.taken
    return taken((
        1, prompt, answer, prompt + answer, 0, 1, streams,
        1, most_input, most_output, most_input + most_output, cost,
    ))  # fmt: skip


def measured(call: Call, plan: Plan, size: int, files: int, prices: Tariff, refuses: bool) -> tuple[int, ...]:
    """What the call takes of each want. `size`: bytes of the request without its files, of which there are `files`;
    `refuses`: a call whose cost has no bound is refused where a budget applies, which raises CostUnknown."""
    peek = call.peek
    streams = 1 if peek is not None and peek.stream else 0
    if not plan.counted:
        return plan.taken((1, 0, 0, 0, 0, 1, streams))
    body, operation = call.body, call.surface.operation
    if b"\\" in body:
        body = spelt(body)
    tariff = prices if plan.priced else None
    prompt = answer = cost = 0
    most_input, most_output, most_cost, why = _NO_BOUND if operation in _UNMEASURED else _FREE
    if operation in _MEASURED:
        said = None
        if operation != "embed":
            said = asked(body, call.surface.dialect.name, peek.framing if peek is not None else "")
            prompt, answer = plan.expectation.of(size, said.output)
            answer *= said.answers
        else:
            prompt, _ = plan.expectation.of(size, 0)
        prompt += files * TOKENS_PER_FILE
        if plan.bounded:
            most_input, most_output, most_cost, why = bound_of(call, body, plan.rooms, said, tariff)
    if why and plan.bounded and refuses:
        raise CostUnknown(f"A budget applies to this call, and its cost cannot be known beforehand: {why}.")
    if tariff is not None and plan.rooms and plan.soft:
        cost = tariff.ceiling(plan.rooms[0].price_model, call.arrived, prompt, answer) or 0
    return plan.taken((
        1, prompt, answer, prompt + answer, cost, 1, streams,
        1, most_input, most_output, most_input + most_output, most_cost,
    ))  # fmt: skip
