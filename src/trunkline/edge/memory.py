"""Memory after a start: what importing large libraries left behind goes back to the system.

Reading the price list leaves tens of megabytes of freed but unreturned heap (glibc keeps it in the thread's arena), and
hundreds of thousands of objects that will live as long as the process, which the garbage collector would walk again and
again while calls wait. Both are settled once.
"""

from __future__ import annotations

import ctypes
import gc
import sys

THRESHOLDS = (10_000, 20, 50)
"""A call's objects die by reference counting; looking for cycles ten times less often saves a twentieth of its CPU."""


def settle() -> None:
    """Collect garbage, exempt what is left from further collections, and return freed heap to the system."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc; other C libraries return memory by themselves
        if trim is not None:
            trim(0)
