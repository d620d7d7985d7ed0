"""What every test shares: one torch thread per worker (pytest-xdist runs several), no network, no display."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
