"""What the script of an interactive latent plane is given: points, classes, colours, and a sprite of the images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from markupsafe import Markup

from vaelab.report.blocks import Plane
from vaelab.report.images import sprite

MOST = 3000
"""More points are thinned out evenly over their order."""

PALETTE = (
    "#3657c9",
    "#f31e01",
    "#a7d67c",
    "#773574",
    "#f2cb17",
    "#53a1e3",
    "#a20f20",
    "#00e8e8",
    "#7905ff",
    "#e97093",
)
MARKERS = ("o", "^", "s", "v", "D", "P", "X")
"""Colours and markers of the classes are those of the figures (`vaelab.plots`), which a test compares."""


def payload(plane: Plane) -> dict[str, Any]:
    """Points, labels, classes and sprite, ready for JSON.

    Raises `ValueError` where the arrays do not fit one another.
    """
    z, labels = np.asarray(plane.z, dtype=np.float64), np.asarray(plane.labels)
    if z.ndim != 2 or z.shape[1] != 2 or not len(z) == len(labels) == len(plane.images):
        raise ValueError(
            f"expected z (n, 2) with n images and labels, got {z.shape}, {plane.images.shape}, {labels.shape}"
        )
    keep = np.flatnonzero(np.isfinite(z).all(axis=1))
    if not len(keep) or labels[keep].min() < 0 or labels[keep].max() >= len(plane.class_names):
        raise ValueError("expected at least one finite point, and labels that are indices into class_names")
    if len(keep) > MOST:
        keep = keep[np.linspace(0, len(keep) - 1, MOST).round().astype(int)]
    tiles = sprite(np.asarray(plane.images)[keep])
    classes = range(len(plane.class_names))
    return {
        "x": [float(f"{value:.4g}") for value in z[keep, 0]],
        "y": [float(f"{value:.4g}") for value in z[keep, 1]],
        "label": labels[keep].tolist(),
        "names": [str(name) for name in plane.class_names],
        "colours": [PALETTE[place % len(PALETTE)] for place in classes],
        "markers": [MARKERS[place % len(MARKERS)] for place in classes],
        "sprite": {"uri": tiles.uri, "columns": tiles.columns, "width": tiles.width, "height": tiles.height},
    }


def safe_json(value: Any) -> Markup:
    """JSON that can stand inside a ``<script>`` element: no ``<``, ``>``, ``&`` and only ASCII.

    >>> print(safe_json({"name": "</script>"}))
    {"name":"\\u003c/script\\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
