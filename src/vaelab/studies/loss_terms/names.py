"""The models that sheet B compares: without and with the label, by their loss function."""

from __future__ import annotations

LOSSES = ("reconstruction", "kl", "both", "sheet")
"""Each term alone, both (the negative ELBO), both with the sheet's weight."""

KINDS = ("vae", "cvae")

MODELS = tuple(f"{kind}-{loss}" for kind in KINDS for loss in LOSSES)

TITLES = {
    "reconstruction": "reconstruction term only",
    "kl": "KL term only",
    "both": "both terms",
    "sheet": "both terms, the sheet's weight",
}


def title(model: str) -> str:
    """What a model was trained with.

    >>> title("cvae-kl")
    'KL term only'
    """
    return TITLES[model.partition("-")[2]]


def of_kind(kind: str) -> list[str]:
    """The models without (vae) or with the label (cvae).

    >>> of_kind("vae")[0]
    'vae-reconstruction'
    """
    return [f"{kind}-{loss}" for loss in LOSSES]
