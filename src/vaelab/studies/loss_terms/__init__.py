"""Sheet B: a conditional VAE, what each term of the loss does, anomaly detection."""

from __future__ import annotations

from vaelab.studies.loss_terms.sections import network, training
from vaelab.studies.loss_terms.sections_anomalies import detection
from vaelab.studies.loss_terms.sections_loss import loss
from vaelab.studies.loss_terms.sections_terms import terms
from vaelab.studies.loss_terms.steps import OPTIONS, steps
from vaelab.studies.loss_terms.summary import cells, summarise
from vaelab.studies.study import Part, Study

STUDY = Study(
    name="loss-terms",
    sheet="B",
    title="What each loss term does",
    about="A conditional VAE, the weight of the KL term, each term alone, and anomaly detection.",
    options=OPTIONS,
    steps=steps,
    parts=[
        Part("network", "A VAE that is given the label", ("B1",), network),
        Part("loss", "The loss, its weight, and the training", ("B2",), loss),
        Part("training", "Samples and loss while it trains", ("B3", "B4"), training),
        Part("terms", "Reconstruction only, KL only, both", ("B5",), terms),
        Part("anomalies", "Anomaly detection", ("B6",), detection),
    ],
    summarise=summarise,
    cells=cells,
)
