"""Sheet E: latent planes of two likelihoods, a VAE beside a denoising autoencoder, and learning from few labels."""

from vaelab.studies.semi_supervised import (
    sections_labels,
    sections_learned,
    sections_planes,
    sections_terms,
    sections_training,
    summary,
)
from vaelab.studies.semi_supervised.steps import OPTIONS, steps
from vaelab.studies.study import Part, Study

STUDY = Study(
    name="semi-supervised",
    sheet="E",
    title="VAEs with two likelihoods, and what their representations are worth with few labels",
    about="Two VAEs with a latent plane, Bernoulli and Gaussian; a VAE and a denoising autoencoder; classifiers on "
    "their representations and on raw pixels with few labels.",
    options=OPTIONS,
    steps=steps,
    parts=(
        Part("model", "Encoder and decoder", ("E1", "E2", "E4"), sections_terms.model),
        Part("log-variance", "Why the log-variance", ("E3",), sections_terms.log_variance),
        Part("reparameterisation", "The layer that draws z", ("E5",), sections_terms.reparameterisation),
        Part("loss-terms", "The loss, written out and checked", ("E6", "E7", "E14"), sections_terms.loss_terms),
        Part("training", "Training", ("E8",), sections_training.training),
        Part("planes", "The latent planes", ("E9",), sections_planes.planes),
        Part("generative", "A generative model? Gaps near the origin", ("E10",), sections_planes.generative),
        Part("learned", "A VAE and a denoising autoencoder", ("E11",), sections_learned.learned),
        Part("compared", "Reconstructions and generated images of both", ("E12",), sections_learned.compared),
        Part("few-labels", "Learning from few labels", ("E13",), sections_labels.few_labels),
    ),
    summarise=summary.summarise,
    cells=summary.cells,
)
