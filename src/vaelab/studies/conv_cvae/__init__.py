"""Sheet C: a convolutional VAE, then a conditional one (C1 to C20)."""

from __future__ import annotations

from vaelab.studies.conv_cvae import (
    report_labels,
    report_model,
    report_plane,
    report_seeds,
    report_space,
    report_training,
)
from vaelab.studies.conv_cvae.steps import OPTIONS, steps
from vaelab.studies.conv_cvae.summary import cells, summarise
from vaelab.studies.study import Part, Study

PARTS = (
    Part("networks", "The networks", ("C1",), report_model.networks),
    Part("sampling", "Sampling by reparameterisation", ("C2",), report_model.sampling),
    Part("log-variance", "Why the log-variance", ("C3",), report_model.log_variance),
    Part("hand-cases", "The loss, checked by hand", ("C4",), report_model.hand_cases),
    Part("training", "Training the VAE", ("C5",), report_training.vae),
    Part("latents", "More latent dimensions", ("C6",), report_training.latents),
    Part("plane", "The latent plane, decoded", ("C7",), report_plane.grid),
    Part("classes", "Classes from z", ("C8",), report_space.classes),
    Part("seeds", "Trained again", ("C9",), report_seeds.seeds),
    Part("scatter", "Encoded training images", ("C10",), report_plane.scatter),
    Part("relation", "The two views of the plane", ("C11",), report_plane.relation),
    Part("prior", "What z follows", ("C12",), report_space.prior),
    Part("conditional", "The conditional networks", ("C13",), report_model.conditional),
    Part("conditional-training", "Training the CVAE", ("C14",), report_training.cvae),
    Part("conditional-planes", "The plane of one class", ("C15",), report_plane.conditional_grids),
    Part("conditional-scatter", "Encoded training images of the CVAE", ("C16",), report_plane.conditional_scatter),
    Part("difference", "Why the two scatters differ", ("C17",), report_space.compared),
    Part("classification", "Classification by Bayes' rule", ("C18",), report_labels.classification),
    Part("transfer", "Changing the label", ("C19",), report_labels.transfer),
    Part("discussion", "VAE, CVAE and GAN", ("C20",), report_labels.discussion),
)

STUDY = Study(
    name="conv-cvae",
    sheet="C",
    title="A convolutional VAE, then a conditional one",
    about="the sheet's networks with two latent dimensions: the plane, its classes, the prior; then with labels",
    options=OPTIONS,
    steps=steps,
    parts=PARTS,
    summarise=summarise,
    cells=cells,
)
