"""What a caller is told whom a limit refuses: which one, how it stands, and when to come back."""

from __future__ import annotations

from trunkline.core.errors import BudgetExceeded, LimitExceeded
from trunkline.core.limit import Refusal, Standing
from trunkline.policy.rules import shown, shown_amount

SOON = 1.0
"""Seconds to come back after, where that is no matter of time but of another call's end."""


def refused(refusal: Refusal) -> LimitExceeded:
    """The error for a refusal."""
    want = refusal.want
    left = max(0, want.most - refusal.total)
    kind = BudgetExceeded if want.dimension == "cost" else LimitExceeded
    asked = shown_amount(want.dimension, refusal.amount)
    if refusal.wait is None:
        return kind(
            f"This request may use {asked}, which is more than all that is allowed ({shown(want)}). Ask for less, with "
            "a smaller limit of its answer's tokens for example.",
            Standing(want, left, 0.0),
            code="limit_too_small",
            retry_after=None,
        )
    seconds = -(-refusal.wait // 1000) if refusal.wait else SOON
    return kind(
        f"Limit reached, {shown(want)}: {shown_amount(want.dimension, left)} left, and this request may use {asked}. "
        + (f"Try again in {seconds:.0f} s." if refusal.wait else "Try again when another call has ended."),
        Standing(want, left, float(seconds)),
        retry_after=float(seconds),
    )
