"""`DenoisingAutoencoder`: codes that noise does not change much, and the rows without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import UsageError
from vaelab.estimators.base import VARIANT
from vaelab.estimators.representations import Representation
from vaelab.evaluation import evaluate_bounds
from vaelab.specs import Spec


class DenoisingAutoencoder(Representation):
    """An autoencoder trained to give the clean row of a corrupted one: ``inverse_transform(transform(X))`` is denoised.

    It minimises −log p(x|z = f(x̃)), x̃ the corrupted row. Vincent et al. 2008, "Extracting and composing robust features
    with denoising autoencoders".

    ``corruption``: a spec, such as ``gaussian:std=0.3``, ``masking:fraction=0.3`` or ``none``, in units of [0, 1] or of
    standardised features (where normal noise is not clipped, and masked means the mean). Parameters and fitted
    attributes else as in `VAETransformer`, but for the prior, the objective and ``samples``, which it does not have.
    Raises `ValueError` where a parameter or the data does not fit, `TrainingError` where the loss is not finite.

    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data / 16
    >>> denoiser = DenoisingAutoencoder(likelihood="bernoulli", epochs=2, random_state=0).fit(X)
    >>> denoiser.inverse_transform(denoiser.transform(X)).shape
    (1797, 64)
    """

    def __init__(
        self,
        latent: int = 8,
        *,
        hidden: int | Sequence[int] = (256,),
        encoder: str = "auto",
        decoder: str = "auto",
        likelihood: str = "auto",
        image_shape: tuple[int, int, int] | None = None,
        corruption: str = "gaussian:std=0.3",
        epochs: int | str = "auto",
        batch_size: int = 128,
        lr: float = 2e-3,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            latent,
            hidden=hidden,
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            image_shape=image_shape,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.corruption = corruption

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of log p(x|z = f(x)) over the rows, nats: larger is better. No bound: there is no prior."""
        del y
        model, data, device = self._scoring(self._checked(X))
        scores = evaluate_bounds(model, data, VARIANT, seed=self.seed_, device=device)
        return float(-scores.reconstruction.mean()) - self.scaling_.log_volume

    def _model_options(self) -> dict[str, Any]:
        return {"kind": "autoencoder"}

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        spec = Spec.parse(self.corruption)
        if self._takes_real_numbers():
            if spec.name == "salt-and-pepper":
                raise UsageError(
                    "salt-and-pepper corrupts to the ends of [0, 1], which standardised features do not have; "
                    "use gaussian or masking"
                )
            if spec.name == "gaussian":
                spec = Spec(spec.name, {"clip": False, **spec.options})
        return {"objective": "reconstruction", "corruption": str(spec)}
