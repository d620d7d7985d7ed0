"""A judge of samples: a classifier trained on real images, asked what it sees in images that a model made.

How sure it is says whether an image looks like one of the classes: the idea of the inception score (Salimans et al.
2016, arXiv:1606.03498), with a classifier of the data at hand and numbers that can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from vaelab.applications.calibration import calibration_error, correct
from vaelab.checkpoint import load_into
from vaelab.config import TrainingConfig
from vaelab.data.batches import batches, epoch_order
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.errors import CheckpointError, DataError, UsageError
from vaelab.metrics import Metric
from vaelab.nn import ENCODERS, NetworkShape
from vaelab.optimisation import learning_rate
from vaelab.semisupervised import Classifier
from vaelab.specs import Spec
from vaelab.vae import check_images

NETWORK = "conv:channels=32/64,strides=2/2,hidden=128"
"""Two convolutions and a hidden layer: in a minute on one core above 98.5 % on MNIST's test images."""

CONFIDENT = 0.9
"""From this probability on, an image counts as clearly one of the classes."""

_BATCH = 500  # images judged at a time


@dataclass(frozen=True)
class Judge:
    """p(class | image) of a classifier that was trained on real images; see `train_judge`."""

    network: Classifier
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]

    @torch.no_grad()
    def log_probabilities(self, images: Tensor) -> Tensor:
        """log p(class | image) of ``images (n, channel, height, width)`` in [0, 1]: float64 ``(n, classes)``, CPU.

        uint8 images are read as x/255. Raises `DataError` for images of another shape than those it was trained on.
        """
        x = prepare_fixed(images, "grey", 0) if images.dtype == torch.uint8 else images
        check_images(x, self.image_shape)
        device = next(self.network.parameters()).device
        parts = [self.network(part.to(device).clamp(0, 1)).cpu() for part in torch.split(x, _BATCH)]
        return torch.cat(parts).double().log_softmax(-1)

    def probabilities(self, images: Tensor) -> Tensor:
        """p(class | image), as `log_probabilities`.

        >>> pixels = torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8)
        >>> judge = train_judge(ImageData("noise", pixels, torch.arange(8) % 2, ("a", "b")), steps=1)
        >>> judge.probabilities(torch.rand(3, 1, 8, 8)).shape
        torch.Size([3, 2])
        """
        return self.log_probabilities(images).exp()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, to be kept in a ``.npz`` file."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return {"image_shape": np.array(self.image_shape), "class_names": np.array(self.class_names), **weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], device: torch.device | str = "cpu") -> Judge:
        """The inverse of `arrays`; `CheckpointError` where they are not a judge's."""
        rest = dict(arrays)
        try:
            channels, height, width = (int(size) for size in rest.pop("image_shape"))
            names = tuple(str(name) for name in rest.pop("class_names"))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("these arrays are not those of a judge; train one anew") from error
        network = _network((channels, height, width), len(names), seed=0)
        load_into(network, {name: torch.from_numpy(array) for name, array in rest.items()}, "the judge's arrays")
        return cls(network.to(device).eval(), (channels, height, width), names)


def train_judge(
    data: ImageData,
    *,
    steps: int = 2000,
    batch_size: int = 128,
    lr: float = 2e-3,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Judge:
    """Train a `Judge` on labelled images: min_θ −log p_θ(label | image), the pixels x/255.

    ``steps`` of Adam on ``batch_size`` images each, the rate one cycle with the peak ``lr``; what comes out is a
    function of the data, the arguments and the number of threads. Images whose label is not known (−1) are left out.
    ``progress`` is called with the number of steps done. Raises `DataError` for data without labels or with fewer than
    two classes, `UsageError` for numbers below 1.
    """
    if steps < 1 or batch_size < 1:
        raise UsageError(f"expected at least one step and one image a step, got {steps} and {batch_size}")
    known = _labelled(data).to(device)
    network = _network(data.image_shape, data.classes, seed).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
    config = TrainingConfig(lr=lr, schedule="one-cycle")
    done = 0
    for epoch in range(math.ceil(steps * batch_size / len(known)) + 1):
        for images, labels in batches(known, batch_size, epoch_order(len(known), seed, epoch)):
            if done == steps:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, done, steps)
            assert labels is not None
            loss = cross_entropy(network(prepare_fixed(images, "grey", 0)), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
            if progress is not None:
                progress(done)
    return Judge(network.eval().requires_grad_(False), data.image_shape, data.class_names)


def judge_quality(judge: Judge, data: ImageData, split: str = "test") -> dict[str, Metric]:
    """Whether the judge can be trusted, on labelled images it has not seen.

    ``judge_accuracy``; ``judge_confidence``, the mean of max_y p(y|x), which a calibrated judge has equal to its
    accuracy; ``judge_calibration_error``, the expected calibration error in 15 bins; ``judge_confident``, the share of
    the real images given one class with at least 0.9: what even perfect samples would reach. ``split`` is for the
    protocol. Raises `DataError` for data without labels. Guo et al. 2017, arXiv:1706.04599.
    """
    data = _labelled(data)
    assert data.labels is not None
    labels, found = data.labels.cpu(), judge.log_probabilities(data.images)
    protocol = f"a classifier trained on the real training images, on the {split} split, grey pixels"
    error, spread = calibration_error(found, labels)
    return {
        "judge_accuracy": Metric.mean(correct(found, labels), "share of images", protocol),
        "judge_confidence": Metric.mean(found.amax(-1).exp(), "mean probability", protocol),
        "judge_calibration_error": Metric(error, spread, "expected calibration error", len(data), protocol),
        "judge_confident": confident_share(found.exp(), protocol),
    }


def confident_share(probabilities: Tensor, protocol: str, threshold: float = CONFIDENT) -> Metric:
    """The share of images whose most probable class has at least ``threshold``, of ``probabilities (n, classes)``.

    >>> found = confident_share(torch.tensor([[0.95, 0.05], [0.5, 0.5]]), "two images")
    >>> found.value, found.n
    (0.5, 2)
    """
    sure = (probabilities.amax(-1) >= threshold).double()
    return Metric.mean(sure, "share of images", f"{protocol}; most probable class at least {threshold:g}")


def _labelled(data: ImageData) -> ImageData:
    """The images whose class is known."""
    labels = data.labels
    if labels is None or data.classes < 2 or not bool((labels >= 0).any()):
        raise DataError(f"{data.name}: expected labels of at least 2 classes for a judge; give the data labels")
    known = torch.nonzero(labels >= 0)[:, 0]
    return data if len(known) == len(data) else data.take(known)


def _network(image: tuple[int, int, int], classes: int, seed: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = Classifier(ENCODERS.build(Spec.parse(NETWORK), NetworkShape(image, latent=1)), classes)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
