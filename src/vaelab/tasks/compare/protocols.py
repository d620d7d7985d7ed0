"""What a protocol says about the way a number was measured, apart from the images and the model."""

from __future__ import annotations

import re

_DRAWS = re.compile(r"\d+ samples? of z per image|closed form|seed \d+")
"""These make a mean more or less noisy, not larger or smaller."""

_TEMPERATURE = re.compile(r"T = [\d.e+-]+")


def estimator(protocol: str) -> str:
    """The pieces of a protocol that tell which quantity was measured, but for split, pixels and condition.

    >>> estimator("test split, grey pixels (logistic mass), given the label, upper bound on −log p(x|c), "
    ... "1 sample of z per image, seed 0")
    'upper bound on −log p(x)'
    >>> estimator("test split, grey pixels (logistic mass), K = 50 samples of z per image, seed 0")
    'K = 50 samples of z per image'
    """
    pieces = protocol.replace("−log p(x|c)", "−log p(x)").split(", ")[2:]
    kept = [piece for piece in pieces if piece != "given the label" and not _DRAWS.fullmatch(piece)]
    return _TEMPERATURE.sub("T", ", ".join(kept))
