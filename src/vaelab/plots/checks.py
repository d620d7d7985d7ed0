"""What a figure is given, as numpy arrays: every function refuses in one sentence, "expected …, got …"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def numbers(name: str, values: ArrayLike, shape: tuple[str, ...]) -> Array:
    """``values`` (array, tensor or sequence) as a float array with one axis for each word of ``shape``.

    Raises `ValueError` for another number of axes, an empty array, or values that are no finite numbers.

    >>> numbers("kl", [0.5, 1], ("latent",))
    array([0.5, 1. ])
    >>> numbers("z", [0.5, 1], ("n", "2"))
    Traceback (most recent call last):
    ValueError: expected z of shape (n, 2), got (2,)
    """
    array = _plain(name, values)
    fixed = [axis for axis, word in enumerate(shape) if word.isdigit()]
    right = array.ndim == len(shape) and all(array.shape[axis] == int(shape[axis]) for axis in fixed)
    if not right or array.size == 0:
        wanted = f"({', '.join(shape)}{',' if len(shape) == 1 else ''})"
        raise ValueError(f"expected {'' if not right else 'a non-empty '}{name} of shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise ValueError(f"expected finite numbers in {name}, got {count} of {array.size} that are NaN or infinite")
    return array


def pictures(name: str, images: ArrayLike, lead: tuple[str, ...]) -> Array:
    """``images`` as float64 of shape (…lead, h, w, channels): channels last, 1 or 3, values clipped to [0, 1].

    Comes as (…lead, c, h, w) or, without channels, (…lead, h, w). Raises `ValueError` for any other shape, for an empty
    or not finite array, and for values that are plainly on another scale (beyond ±10, as in 0 … 255).

    >>> pictures("images", np.zeros((2, 1, 8, 9)), ("n",)).shape
    (2, 8, 9, 1)
    """
    array = _plain(name, images)
    if array.ndim == len(lead) + 2:
        array = np.expand_dims(array, -3)
    wanted = f"({', '.join(lead)}, c, h, w) with 1 or 3 channels"
    if array.ndim != len(lead) + 3 or array.shape[-3] not in (1, 3):
        raise ValueError(f"expected {name} of shape {wanted}, got {np.shape(_plain(name, images))}")
    array = numbers(name, array, (*lead, "c", "h", "w"))
    if np.abs(array).max() > 10:
        raise ValueError(f"expected {name} with values in [0, 1], got values up to {np.abs(array).max():g}")
    return np.moveaxis(array, -3, -1).clip(0, 1)


def names(name: str, values: Sequence[object], count: int) -> list[str]:
    """``values`` as ``count`` strings; raises `ValueError` for another number of them.

    >>> names("class_names", range(3), 3)
    ['0', '1', '2']
    """
    if len(values) != count:
        raise ValueError(f"expected {count} {name}, got {len(values)}")
    return [str(value) for value in values]


def labels(values: ArrayLike, count: int) -> NDArray[np.int64]:
    """Class numbers (≥ 0) of shape (count,); raises `ValueError` for anything else.

    >>> labels([0, 1.5], 2)
    Traceback (most recent call last):
    ValueError: expected labels that are whole numbers from 0, got 1.5
    """
    array = numbers("labels", values, ("n",))
    if len(array) != count:
        raise ValueError(f"expected {count} labels, one for each point, got {len(array)}")
    wrong = array[(array < 0) | (array != np.round(array))]
    if wrong.size:
        raise ValueError(f"expected labels that are whole numbers from 0, got {wrong[0]:g}")
    return array.astype(np.int64)


def _plain(name: str, values: ArrayLike) -> Array:
    value: Any = values
    if hasattr(value, "detach"):  # a tensor, which may need gradients, be on a device, or be bfloat16
        value = value.detach().cpu().double()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected numbers in {name}, got {_kind(value)}") from error


def _kind(value: object) -> str:
    return "entries of unequal length or no numbers" if isinstance(value, list | tuple) else type(value).__name__
