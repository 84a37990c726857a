"""For all tests: generated examples are the same in every run, and no clock judges them on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("trunkline", derandomize=True, deadline=None)
settings.load_profile("trunkline")
