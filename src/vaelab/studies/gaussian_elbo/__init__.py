"""Sheet D: a Gaussian VAE whose ELBO is a normalised log-density, its samples, and ways between two images."""

from vaelab.studies.gaussian_elbo import bound_sections, line_sections, sample_sections, training_sections
from vaelab.studies.gaussian_elbo.steps import OPTIONS, steps
from vaelab.studies.gaussian_elbo.summary import cells, summarise
from vaelab.studies.study import Part, Study

STUDY = Study(
    name="gaussian-elbo",
    sheet="D",
    title="A Gaussian VAE and its ELBO",
    about="dequantised pixels, a normalised ELBO in nats and bits, judged samples, latent traversals",
    options=OPTIONS,
    steps=steps,
    parts=(
        Part("bound", "The bound: a normalised log-density", ("D1",), bound_sections.bound),
        Part("networks", "The networks", ("D2",), bound_sections.networks),
        Part("pixels", "Continuous pixels and the Gaussian", ("D3",), bound_sections.pixels),
        Part("training", "Training and the test ELBO", ("D4",), training_sections.training),
        Part("samples", "Samples", ("D5",), sample_sections.samples),
        Part("lines", "From one image to another", ("D6",), line_sections.lines),
    ),
    summarise=summarise,
    cells=cells,
)
