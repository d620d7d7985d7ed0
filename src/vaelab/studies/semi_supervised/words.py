"""Numbers and names as the report of sheet E writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaelab.metrics import Metric
from vaelab.specs import Spec
from vaelab.studies.results import Results, percent, written
from vaelab.studies.words import listed, power_of_ten

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
    return f"{digits}{power_of_ten(int(power))}"


def share(value: float, digits: int = 1) -> str:
    """Of 1, as per cent.

    >>> share(0.1234)
    '12.3 %'
    """
    return f"{number(100 * value, digits)} %"


def quantity(found: Metric, digits: int = 2, unit: bool = True) -> str:
    """`results.written`, with a minus sign that is one."""
    return written(found, digits, unit).replace("-", "−")


def shares(found: Metric, digits: int = 1) -> str:
    """`results.percent`."""
    return percent(found, digits)


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
