"""One study for each exercise sheet: models to train, measurements on them, a report that answers every row.

>>> [study.sheet for study in all_studies()]
['A', 'B', 'C', 'D', 'E']
"""

from __future__ import annotations

import importlib

from vaelab.specs import choice
from vaelab.studies.study import Study

NAMES = ("generative-classifier", "loss-terms", "conv-cvae", "gaussian-elbo", "semi-supervised")
"""In the order of the sheets."""


def get(name: str) -> Study:
    """The study ``name``; `UsageError` naming those there are."""
    choice("study", name, NAMES)
    study = importlib.import_module(f"vaelab.studies.{name.replace('-', '_')}").STUDY
    assert isinstance(study, Study)
    return study


def all_studies() -> list[Study]:
    """Every study, in the order of the sheets."""
    return [get(name) for name in NAMES]
