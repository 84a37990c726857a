"""What a host says of a choice beside its end, and a client of another dialect would want to know is missing."""

from __future__ import annotations

from trunkline.core.events import Finished

_VERDICTS = ("content_filter_results",)
"""Azure's verdict on what was said. Whatever else stands beside an end describes the service, not the answer."""


def unsaid(finished: Finished) -> list[str]:
    """The JSON paths of such fields in the upstream's answer."""
    extra = finished.extra or {}
    return [f"choices[{finished.choice}].{name}" for name in _VERDICTS if name in extra]
