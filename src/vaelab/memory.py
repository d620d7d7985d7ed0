"""Freed memory is kept for the next step instead of being given back to the system.

A training step allocates and frees the same few megabytes again and again. The GNU C library hands blocks of that size
back at once, and the next step's first touch of each page is a page fault: some 1,400 of them in a step of sheet C's
VAE at batch 32, a quarter of its time (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_KEPT = 2**30  # bytes: larger blocks are still mapped on their own, and given back


@cache
def keep_freed_memory() -> bool:
    """Ask the allocator of this process to keep what is freed; returns whether it does.

    Nothing happens, and False is returned, on systems without the GNU C library, where ``VAELAB_KEEP_MEMORY=0`` is set,
    or where the user has chosen the allocator's thresholds himself (``MALLOC_TRIM_THRESHOLD_`` and the like). The peak
    of memory stays what it is; what is above it is kept until the process ends.

    >>> keep_freed_memory() in (True, False)
    True
    """
    return _wanted() and _set()


def _wanted() -> bool:
    chosen = any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"))
    return sys.platform == "linux" and not chosen and os.environ.get("VAELAB_KEEP_MEMORY", "1") != "0"


def _set() -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    # Every one of them is to be called: the first alone would fix the other at its small default.
    return all([mallopt(_MMAP_THRESHOLD, _KEPT) == 1, mallopt(_TRIM_THRESHOLD, _KEPT) == 1])
