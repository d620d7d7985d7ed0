"""An estimator in a run folder: the configuration, and a checkpoint with its parameters and what fit found.

The tensors are safetensors, the rest is JSON; nothing is pickled or unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vaelab.applications.anomaly import Reference
from vaelab.building import build_model
from vaelab.checkpoint import Checkpoint, load_checkpoint, load_into, save_checkpoint
from vaelab.config import RunConfig, check
from vaelab.documents import REMEDY
from vaelab.errors import CheckpointError, UsageError
from vaelab.estimators.scaling import Scaling
from vaelab.runfolder import RunFolder

if TYPE_CHECKING:
    from vaelab.estimators.base import GenerativeEstimator

_NAME = "last"
_KEY = "estimator"  # of the checkpoint's state and of its group of tensors
_NUMBERS = ("n_features_in_", "seed_", "offset_", "loss_curve_")


def save(estimator: GenerativeEstimator, path: Path, overwrite: bool) -> None:
    """See `GenerativeEstimator.save`."""
    state = {
        "class": type(estimator).__name__,
        "parameters": {name: _as_json(name, value) for name, value in estimator.get_params(deep=False).items()},
        "fitted": {name: getattr(estimator, name) for name in _NUMBERS if hasattr(estimator, name)},
    }
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names"] = list(estimator.feature_names_in_)
    if hasattr(estimator, "classes_"):
        state["classes"] = _classes_as_json(estimator.classes_)
    tensors = {"model": dict(estimator.model_.state_dict()), _KEY: _arrays(estimator)}
    with RunFolder.begin(path, estimator.config_.to_dict(), overwrite=overwrite) as folder:
        save_checkpoint(folder.checkpoints, _NAME, Checkpoint(tensors, {_KEY: state}))


def load(cls: type[GenerativeEstimator], path: Path) -> GenerativeEstimator:
    """See `GenerativeEstimator.load`."""
    folder = RunFolder.open(path)
    checkpoint = load_checkpoint(folder.checkpoints, _NAME)
    state = checkpoint.state.get(_KEY)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a run that is no estimator; open it with vaelab.Run.open")
    if state.get("class") != cls.__name__:
        raise CheckpointError(f"{path} holds a {state.get('class')}; load it with that class, not with {cls.__name__}")
    try:
        estimator = cls(**{name: _from_json(value) for name, value in state["parameters"].items()})
        estimator.config_ = RunConfig.from_dict(_config_of(folder))
        check(estimator.config_)
        model = build_model(estimator.config_.model)
        load_into(model, checkpoint.tensors["model"], str(path))
        _restore(estimator, state, checkpoint.tensors[_KEY])
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise CheckpointError(f"{path} is damaged or of another version: {error}; {REMEDY}") from error
    estimator.model_ = model.eval()
    return estimator


def _config_of(folder: RunFolder) -> dict[str, Any]:
    return {key: value for key, value in folder.config().items() if key != "environment"}


def _arrays(estimator: GenerativeEstimator) -> dict[str, Tensor]:
    """What fit found, where it is arrays."""
    found = {"mean": estimator.scaling_.mean, "scale": estimator.scaling_.scale}
    if hasattr(estimator, "class_log_prior_"):
        found["class_log_prior"] = estimator.class_log_prior_
    if getattr(estimator, "reference_", None) is not None:
        found |= {f"reference.{name}": array for name, array in estimator.reference_.arrays().items()}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.float64)) for name, array in found.items()}


def _restore(estimator: GenerativeEstimator, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    for name, value in state["fitted"].items():
        if name not in _NUMBERS:
            raise ValueError(f"unknown attribute {name!r}")
        setattr(estimator, name, value)
    estimator.scaling_ = Scaling(arrays["mean"], arrays["scale"])
    if "feature_names" in state:
        estimator.feature_names_in_ = np.array(state["feature_names"], dtype=object)
    if "classes" in state:
        estimator.classes_ = np.array(state["classes"]["values"], dtype=np.dtype(state["classes"]["dtype"]))
    if "class_log_prior" in arrays:
        estimator.class_log_prior_ = arrays["class_log_prior"]
    if "offset_" in state["fitted"]:
        reference = {name.removeprefix("reference."): a for name, a in arrays.items() if name.startswith("reference.")}
        estimator.reference_ = Reference.from_arrays(reference) if reference else None


def _classes_as_json(classes: Any) -> dict[str, Any]:
    values = classes.tolist()
    if classes.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
        raise ValueError("expected classes that are all numbers or all words, got a mixture; encode them before fit")
    return {"dtype": classes.dtype.str, "values": values}


def _as_json(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_as_json(name, item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"{name} cannot be saved: expected numbers or words, got {type(value).__name__}; "
        f"set_params({name}=…) before saving"
    )


def _from_json(value: Any) -> Any:
    return tuple(_from_json(item) for item in value) if isinstance(value, list) else value
