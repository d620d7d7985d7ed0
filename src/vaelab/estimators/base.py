"""What all estimators share: parameters, from a table to a model and back, training."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from vaelab.building import Model, build_model
from vaelab.config import RunConfig, check
from vaelab.data.batches import steps_in_epoch
from vaelab.data.features import FeatureData
from vaelab.devices import choose_device
from vaelab.errors import DataError, Interrupted, UsageError
from vaelab.estimators import saving
from vaelab.estimators.scaling import Array, Scaling, check_unit_range
from vaelab.likelihoods import LIKELIHOODS
from vaelab.runfolder import ESTIMATOR
from vaelab.specs import Spec
from vaelab.training import Callback, Row, Training, fit

VARIANT = "grey"
"""Numbers are taken as they are."""

REAL = "normal:mean=identity,learned=true,std=1"
"""The likelihood of features that may be any real number: normal, one σ for all, learned."""

STEPS = 3000
"""``epochs="auto"``: so many steps, but…"""
EPOCHS = (5, 1000)
"""…not fewer or more epochs than these."""


class GenerativeEstimator(BaseEstimator):
    """The base of all estimators.

    ``latent``: latent dimensions, ≥ 1.
    ``hidden``: units of the fully connected layers, from the data to the latents (the decoder has them the other way
    round); of images those between the convolutions and the latents. None, ``()``, for features: linear networks.
    ``encoder``, ``decoder``: specs of other networks (``residual``, ``conv:channels=32/64/128,strides=2/2/2``).
    ``likelihood``: a spec, or auto: of images ``bernoulli``, of features `REAL`, so that a density is never chosen by
    looking at the data. With ``normal:mean=identity`` features are standardised, by the training rows; all other
    likelihoods take values in [0, 1] as they are.
    ``image_shape``: (channels, height, width) where a row is an image, 1 or 3 channels and at least 8×8 pixels; None:
    features without order.
    ``epochs``: ≥ 1, or auto: about `STEPS` steps, within `EPOCHS`. ``batch_size``: ≥ 1, at most the rows there are.
    ``lr``: the highest learning rate of a one-cycle schedule, > 0.
    ``device``: auto, cpu, cuda, cuda:N or mps. ``random_state``: as scikit-learn has it. ``verbose``: print the loss of
    each epoch.
    """

    def __init__(
        self,
        latent: int,
        *,
        hidden: int | Sequence[int],
        encoder: str,
        decoder: str,
        likelihood: str,
        image_shape: tuple[int, int, int] | None,
        epochs: int | str,
        batch_size: int,
        lr: float,
        device: str,
        random_state: Any,
        verbose: bool,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # --- training ---------------------------------------------------------------------------------------------------

    def _fit(self, X: Array, labels: NDArray[np.int64] | None = None, classes: int = 0) -> None:
        """Train on checked rows; sets every fitted attribute that all estimators have."""
        with sentences():
            self.scaling_ = self._fit_scaling(X)
            self.seed_ = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            self.config_ = self._config(X, labels, classes)
            model = build_model(self.config_.model, self.seed_)
            data = self._data(X, torch.float32)
            if labels is not None:
                names = tuple(str(number) for number in range(classes))
                data = FeatureData(data.name, data.images, torch.from_numpy(labels), names)
            watch = _Watch(self.verbose)
            fit(model, data, self.config_.training, variant=VARIANT, callbacks=[watch])
            self.model_ = model.cpu()
            self.loss_curve_ = watch.losses

    def _fit_scaling(self, X: Array) -> Scaling:
        LIKELIHOODS.check(Spec.parse(self._likelihood()))
        self._shape(X.shape[1])
        if self._takes_real_numbers():
            return Scaling.standardising(X)
        check_unit_range(X, self._likelihood())
        return Scaling.identity(X.shape[1])

    def _takes_real_numbers(self) -> bool:
        """Whether the likelihood has a density everywhere; then features are standardised, else they lie in [0, 1]."""
        spec = Spec.parse(self._likelihood())
        return spec.name == "normal" and spec.options.get("mean") == "identity"

    def _likelihood(self) -> str:
        if self.likelihood != "auto":
            return self.likelihood
        return REAL if self.image_shape is None else "bernoulli"

    def _config(self, X: Array, labels: NDArray[np.int64] | None, classes: int) -> RunConfig:
        """The whole configuration; `UsageError` where a parameter is of a wrong type or out of range."""
        batch_size = plain(self.batch_size)
        training = {"lr": plain(self.lr), "device": self.device, "seed": self.seed_, "schedule": "one-cycle"}
        training |= {"clip": 100.0, "batch_size": min(batch_size, len(X)) if type(batch_size) is int else batch_size}
        training |= self._training_options(len(X), labels)
        model = {
            "latent": plain(self.latent),
            "likelihood": self._likelihood(),
            "image_shape": self._shape(X.shape[1]),
            "classes": classes,
            **self._networks(),
            **self._model_options(),
        }
        values = {"data": {"name": ESTIMATOR}, "model": model, "training": training}
        known = len(X) if labels is None else int((labels >= 0).sum())
        config = RunConfig.from_dict(values)
        if self._takes_real_numbers() and Spec.parse(config.model.prior).name == "vamp":
            raise UsageError("pseudo-inputs of a vamp prior lie in [0, 1], standardised features do not; use mixture")
        if self.epochs != "auto":
            config = config.with_changes(training={"epochs": plain(self.epochs)})
        check(config)
        if self.epochs == "auto":
            steps = steps_in_epoch(len(X), known, config.training.batch_size, config.training.labelled_batch)
            epochs = min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1])
            config = config.with_changes(training={"epochs": epochs})
        return config

    def _networks(self) -> dict[str, Any]:
        hidden = (self.hidden,) if isinstance(self.hidden, int | np.integer) else tuple(self.hidden)
        hidden = tuple(plain(size) for size in hidden)
        kind = "mlp" if self.image_shape is None else "conv"
        if not hidden and kind == "mlp":  # the VAE whose optimum is probabilistic PCA
            encoder = decoder = Spec("linear")
        else:
            encoder, decoder = Spec(kind, {"hidden": hidden}), Spec(kind, {"hidden": hidden[::-1]})
        return {
            "encoder": str(encoder) if self.encoder == "auto" else self.encoder,
            "decoder": str(decoder) if self.decoder == "auto" else self.decoder,
        }

    def _model_options(self) -> dict[str, Any]:
        """Keys of `ModelConfig` that are an estimator's own."""
        raise NotImplementedError

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        """Keys of `TrainingConfig` that are an estimator's own."""
        raise NotImplementedError

    # --- tables and tensors -----------------------------------------------------------------------------------------

    def _shape(self, features: int) -> list[int]:
        if self.image_shape is None:
            return [1, 1, features]
        shape = [plain(size) for size in self.image_shape]
        if len(shape) != 3 or math.prod(shape) != features:
            raise UsageError(
                f"expected {features} features to be images of image_shape (channels, height, width), "
                f"got {'×'.join(map(str, shape))}"
            )
        return shape

    def _checked(self, X: ArrayLike) -> Array:
        """Rows for a fitted estimator: as many features as in fit, finite, in the likelihood's range."""
        check_is_fitted(self)
        checked: Array = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        if not self._takes_real_numbers():
            check_unit_range(checked, self._likelihood())
        return checked

    def _data(self, X: Array, dtype: torch.dtype) -> FeatureData:
        with np.errstate(over="ignore"):  # FeatureData refuses what came of it
            rows = torch.empty(X.shape, dtype=dtype)
            self.scaling_.forward_into(X, rows)
        return FeatureData("X", rows.view(len(X), *self.config_.model.image_shape))

    def _scoring(self, X: Array) -> tuple[Model, FeatureData, torch.device]:
        """A model, data and device to score checked rows with.

        Features in float64: a result is the same in any batch, to 1e-10. Images in float32, to about 1e-5, because
        convolutions are several times faster in it.
        """
        with sentences():
            device = choose_device(self.device)
            if self.image_shape is not None:
                return self.model_, self._data(X, torch.float32), device
            device = torch.device("cpu") if device.type == "mps" else device  # which has no float64
            return copy.deepcopy(self.model_).double(), self._data(X, torch.float64), device

    # --- files --------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted estimator into the run folder ``path``: ``config.json`` and a checkpoint, no pickle.

        Raises `UsageError` where the folder holds a run already (unless ``overwrite``) or something else, `ValueError`
        for a ``random_state`` that is no number.
        """
        check_is_fitted(self)
        saving.save(self, Path(path), overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote; `CheckpointError` where the folder is damaged or holds another kind."""
        found: Self = saving.load(cls, Path(path))
        return found


class _Watch(Callback):
    """Keeps each epoch's loss, and prints it where that is asked for."""

    def __init__(self, verbose: bool) -> None:
        self.verbose = verbose
        self.losses: list[float] = []

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        self.losses.append(float(rows[0]["loss"]))
        if self.verbose:
            print(f"epoch {rows[0]['epoch']} of {training.config.epochs}: loss {self.losses[-1]:.4g}")


@contextmanager
def sentences() -> Iterator[None]:
    """Within: what the library refuses is a `ValueError`, as scikit-learn has it, and a signal ends the program.

    A search over parameters takes any other exception for one fit that failed, and goes on.
    """
    try:
        yield
    except (UsageError, DataError) as error:
        raise ValueError(str(error)) from error
    except Interrupted as error:
        raise (KeyboardInterrupt if error.exit_code == 130 else SystemExit(error.exit_code)) from error


def plain(value: Any) -> Any:
    """A NumPy scalar, as a grid of parameters may hold, as Python's own number."""
    return value.item() if isinstance(value, np.generic) else value
