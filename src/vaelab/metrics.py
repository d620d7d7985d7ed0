"""A reported number with what is needed to trust it: unit, number of images, standard error, protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vaelab.errors import CheckpointError, VaelabError

if TYPE_CHECKING:  # so that run folders are read without waiting for torch
    from torch import Tensor

REMEDY = "delete the file and evaluate again"


@dataclass(frozen=True)
class Metric:
    """One number of an evaluation.

    ``standard_error`` is ``None`` where there is none (a single image, a number that is no mean); ``n`` is the number
    of images; ``protocol`` says in words what was measured on what (pixel variant, split, samples, seed).
    """

    value: float
    standard_error: float | None
    unit: str
    n: int
    protocol: str

    @classmethod
    def mean(cls, values: Tensor, unit: str, protocol: str) -> Metric:
        """Mean and standard error, in float64, of one value per image ``(n,)``; raises `ValueError` for another shape.

        >>> import torch
        >>> Metric.mean(torch.tensor([1.0, 2.0, 3.0]), "nats", "test split").value
        2.0
        """
        if values.ndim != 1 or values.numel() == 0:
            raise ValueError(f"expected one value per image, (n,) with n ≥ 1, got {tuple(values.shape)}")
        exact = values.detach().cpu().double()
        n = exact.numel()
        error = float(exact.std(correction=1)) / math.sqrt(n) if n > 1 else None
        return cls(float(exact.mean()), error, unit, n, protocol)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of ``metrics.json``; a number that is not finite is ``null``, because JSON has no other."""
        return {
            "value": _finite(self.value),
            "standard_error": _finite(self.standard_error),
            "unit": self.unit,
            "n": self.n,
            "protocol": self.protocol,
        }

    @classmethod
    def from_json(cls, entry: Any, where: str = "the metric") -> Metric:
        """Inverse of `to_json`, with NaN for a value of ``null``; raises `CheckpointError` for any other form."""
        kinds: dict[str, type] = {"value": float, "standard_error": float, "unit": str, "n": int, "protocol": str}
        if not isinstance(entry, dict):
            raise CheckpointError(f"{where} is damaged: expected a JSON object, got {entry!r}; {REMEDY}")
        for name, kind in kinds.items():
            allowed = (int, float, type(None)) if kind is float else (kind,)
            if name not in entry or isinstance(entry[name], bool) or not isinstance(entry[name], allowed):
                got = repr(entry[name]) if name in entry else "nothing"
                raise CheckpointError(f"{where} is damaged: expected {kind.__name__} {name}, got {got}; {REMEDY}")
        error = entry["standard_error"]
        return cls(
            value=math.nan if entry["value"] is None else float(entry["value"]),
            standard_error=None if error is None else float(error),
            unit=entry["unit"],
            n=entry["n"],
            protocol=entry["protocol"],
        )


class MetricsNotSavedError(VaelabError):
    """``metrics.json`` could not be written; ``metrics`` holds what was measured."""

    def __init__(self, error: VaelabError, metrics: dict[str, Metric]) -> None:
        super().__init__(str(error))
        self.metrics = metrics


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
