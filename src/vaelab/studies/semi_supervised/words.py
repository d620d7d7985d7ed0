"""Numbers and names as the report of sheet E writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaelab.metrics import Metric
from vaelab.specs import Spec
from vaelab.studies.results import Results, percent, written

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

PARTS = {
    "mlp": "fully connected",
    "conv": "convolutional",
    "bernoulli": "Bernoulli",
    "normal": "Gaussian",
    "gaussian": "Gaussian noise",
    "masking": "masked pixels",
    "salt-and-pepper": "salt-and-pepper noise",
}
"""Names of parts in a configuration, in words."""

TITLES = {"bernoulli": "Bernoulli VAE", "gaussian": "Gaussian VAE", "vae": "VAE", "denoising": "denoising autoencoder"}


def number(value: float, digits: int = 2) -> str:
    """With a minus sign that is one.

    >>> number(-0.5), number(-0.001), number(1234.5, 0)
    ('−0.50', '0.00', '1,234')
    """
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def small(value: float) -> str:
    """Of a rounding error: its size.

    >>> small(0.0), small(3.1e-7)
    ('0', '3.1·10⁻⁷')
    """
    if value == 0:
        return "0"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(RAISED)}"


def share(value: float, digits: int = 1) -> str:
    """Of 1, as per cent.

    >>> share(0.1234)
    '12.3 %'
    """
    return f"{number(100 * value, digits)} %"


def metric(values: Mapping[str, Any], name: str) -> Metric:
    """A metric kept as JSON."""
    return Metric.from_json(values[name], name)


def quantity(found: Metric, digits: int = 2, unit: bool = True) -> str:
    """`results.written`, with a minus sign that is one."""
    return written(found, digits, unit).replace("-", "−")


def shares(found: Metric, digits: int = 1) -> str:
    """`results.percent`."""
    return percent(found, digits)


def differ(first: Metric, second: Metric) -> bool:
    """Whether two numbers are further apart than two standard errors of their difference, taken as independent."""
    error = math.hypot(first.standard_error or 0.0, second.standard_error or 0.0)
    return abs(first.value - second.value) > 2 * error


def listed(words: Sequence[str]) -> str:
    """With commas and an "and".

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(count: int, one: str, many: str = "") -> str:
    """With the word that fits.

    >>> counted(1, "gap"), counted(1200, "gap")
    ('1 gap', '1,200 gaps')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def part(spec: str) -> str:
    """A part of a configuration in words, with its options.

    >>> part("conv:hidden=128"), part("mlp:hidden=512/256")
    ('convolutional, 128 hidden units', 'fully connected, 512 and 256 hidden units')
    >>> part("normal:std=0.1"), part("gaussian:std=0.3"), part("none")
    ('Gaussian, σ = 0.1', 'Gaussian noise, σ = 0.3', 'none')
    """
    found = Spec.parse(spec)
    return ", ".join(
        [PARTS.get(found.name, found.name), *(_option(name, value) for name, value in found.options.items())]
    )


def _option(name: str, value: Any) -> str:
    written = listed([str(one) for one in value]) if isinstance(value, tuple) else str(value)
    if name == "hidden":
        return f"{written} hidden units"
    return f"{'σ' if name == 'std' else name} = {written}"


def data_name(results: Results) -> str:
    """Of the models with a latent plane."""
    return Path(results.settings.data).stem


def other_name(results: Results) -> str:
    """Of the models whose representations are compared."""
    return Path(results.settings.other).stem
