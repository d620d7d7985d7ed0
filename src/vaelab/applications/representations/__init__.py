"""How much a few labels are worth on a representation: classifiers × numbers of labels × seeds.

A representation that was learned without labels is given to a classifier that sees l labelled images and nothing else,
neither for its weights nor for its hyperparameters; its accuracy is that on the whole test set. Kingma et al. 2014,
arXiv:1406.5298 (section 4.1, "M1"); Oliver et al. 2018, arXiv:1804.09170, on how such evaluations mislead.

Nothing here needs torch: the workers of `run_cells` start quickly.
"""

from vaelab.applications.representations.cells import Cell, Problem, Representation, Result, canonical, measure
from vaelab.applications.representations.conclusions import conclude
from vaelab.applications.representations.labels import CHOICES, choose_labels
from vaelab.applications.representations.methods import METHODS, Method, Prediction, fit_and_predict
from vaelab.applications.representations.running import run_cells
from vaelab.applications.representations.summary import Row, Summary, paired_difference, summarise

__all__ = [
    "CHOICES",
    "METHODS",
    "Cell",
    "Method",
    "Prediction",
    "Problem",
    "Representation",
    "Result",
    "Row",
    "Summary",
    "canonical",
    "choose_labels",
    "conclude",
    "fit_and_predict",
    "measure",
    "paired_difference",
    "run_cells",
    "summarise",
]
