"""Sheet A: VAE, CVAE and generative classification (A1 to A11)."""

from __future__ import annotations

from vaelab.studies.generative_classifier import (
    classifier_sections,
    conditional_sections,
    failure_sections,
    model_sections,
    plane_sections,
    size_sections,
)
from vaelab.studies.generative_classifier.steps import OPTIONS, steps
from vaelab.studies.generative_classifier.summary import cells, summarise
from vaelab.studies.study import Part, Study

STUDY = Study(
    name="generative-classifier",
    sheet="A",
    title="VAE, CVAE and generative classification",
    about="VAE and CVAE, latent sizes, the latent plane, classification by Bayes' rule",
    options=OPTIONS,
    steps=steps,
    parts=(
        Part("one-class", "One class: VAE and CVAE", ("A1",), model_sections.one_class),
        Part("images", "Reconstructions and new images", ("A2", "A3"), model_sections.images),
        Part("sizes", "The number of latent dimensions", ("A4",), size_sections.sizes),
        Part("plane", "The latent plane of the VAE", ("A5", "A6", "A7"), plane_sections.plane),
        Part("failures", "Where the VAE fails", ("A8",), failure_sections.failures),
        Part("conditional", "The latent plane of the CVAE", ("A9",), conditional_sections.conditional),
        Part("encodings", "Encodings of the CVAE and of the VAE", ("A10",), conditional_sections.encodings),
        Part("classifier", "The generative classifier", ("A11",), classifier_sections.classifier),
    ),
    summarise=summarise,
    cells=cells,
)
