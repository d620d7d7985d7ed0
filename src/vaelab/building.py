"""Configuration → model, objective, corruption; initialisation."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.autoencoder import Autoencoder
from vaelab.config import ModelConfig
from vaelab.errors import UsageError, VaelabError, out_of_memory
from vaelab.layers import FromPlanes, ToPlanes
from vaelab.likelihoods import LIKELIHOODS
from vaelab.nn import DECODERS, ENCODERS, NetworkShape
from vaelab.objectives import OBJECTIVES, Objective
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.semisupervised import Classifier, SemiSupervisedVAE
from vaelab.specs import Registry, Spec, Value, choice
from vaelab.stacked import StackedVAE
from vaelab.vae import VAE

Model = VAE | Autoencoder
KINDS = ("vae", "autoencoder", "m2", "m1+m2")
CONDITIONS = ("concat", "add")
INITS = ("he-encoder", "he", "torch")
_BUILDING = threading.Lock()  # first weights come from the one generator that all threads share


def build_model(config: ModelConfig, seed: int = 0) -> Model:
    """The model that ``config`` names, its weights a function of the configuration and ``seed`` alone.

    Raises `UsageError` where a part, an option or a value is unknown or out of range, `VaelabError` where the memory is
    too small for the model.

    >>> build_model(ModelConfig(latent=4, encoder="mlp", decoder="mlp")).latent
    4
    """
    for what, value, known in (
        ("model kind", config.kind, KINDS),
        ("condition", config.condition, CONDITIONS),
        ("init", config.init, INITS),
    ):
        choice(what, value, known)
    if config.latent < 1:
        raise UsageError(f"expected latent ≥ 1, got {config.latent}")
    with _BUILDING, _fits_in_memory(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the other devices, too
        model = _assemble(config)
        for module in model.modules():
            if isinstance(module, FromPlanes | ToPlanes):  # so that a seed starts the network that it always did
                module.from_channels_first()
        return model


@contextmanager
def _fits_in_memory() -> Iterator[None]:
    """Within: a model that is too large for the memory, or for a number of 64 bits, ends in one sentence."""
    try:
        yield
    except (MemoryError, RuntimeError, TypeError) as error:
        if not out_of_memory(error) and "overflow" not in str(error).lower():
            raise
        raise VaelabError(
            "the model does not fit into the memory; lower --latent, or make --encoder, --decoder or --prior smaller"
        ) from error


TOPS: Registry[SemiSupervisedVAE] = Registry("top")
"""What may stand on M1, made from the whole model's configuration."""


@TOPS.register("m2")
def m2_top(
    config: ModelConfig,
    /,
    *,
    latent: int = 50,
    hidden: tuple[int, ...] = (500,),
    classifier: tuple[int, ...] = (500,),
    std: float = 1.0,
    heteroscedastic: bool = True,
) -> SemiSupervisedVAE:
    """M2 of z₁: fully connected, ``hidden`` units in encoder and decoder, p(z₁|z₂,y) normal.

    Its σ is learned, from ``std``: one for each dimension, z₂ and label (``heteroscedastic``), else one for all.
    """
    if latent < 1:
        raise ValueError(f"expected latent ≥ 1, got {latent}")
    spread: dict[str, Value] = {"heteroscedastic": True} if heteroscedastic else {"learned": True}
    changes = {
        "kind": "m2",
        "latent": latent,
        "encoder": str(Spec("mlp", {"hidden": hidden})),
        "decoder": str(Spec("mlp", {"hidden": hidden[::-1]})),
        "classifier": str(Spec("mlp", {"hidden": classifier})),
        "likelihood": str(Spec("normal", {"std": std, "mean": "identity", **spread})),
        "posterior": "normal",
        "prior": "normal",
    }
    made = _initialised(dataclasses.replace(config, **changes), (1, 1, config.latent))  # type: ignore[arg-type]
    assert isinstance(made, SemiSupervisedVAE)
    return made


def _assemble(config: ModelConfig) -> Model:
    image = _image_shape(config)
    if config.kind != "m1+m2":
        return _initialised(config, image)
    m1 = _initialised(dataclasses.replace(config, kind="vae", conditional=False), image)
    assert isinstance(m1, VAE)
    return StackedVAE(m1, TOPS.build(Spec.parse(config.top), config))


def _initialised(config: ModelConfig, image: tuple[int, int, int]) -> Model:
    """The parts put together for images of a shape, with their first weights."""
    model = _join(config, image)
    if config.init == "he":
        he_init(model)
    elif config.init == "he-encoder":
        he_encoder_init(model)
    return model


def _join(config: ModelConfig, image: tuple[int, int, int]) -> Model:
    conditional = config.conditional or config.kind == "m2"
    classes = config.classes if conditional else 0
    if conditional and classes < 1:
        raise UsageError("a conditional model needs labelled data; this data has no classes")
    likelihood = LIKELIHOODS.build(Spec.parse(config.likelihood))
    outputs = likelihood.outputs_per_channel * image[0]
    shape = NetworkShape(image, config.latent, classes, config.condition, outputs)
    encoder = ENCODERS.build(Spec.parse(config.encoder), shape)
    decoder = DECODERS.build(Spec.parse(config.decoder), shape)
    features = int(encoder.features)  # type: ignore[arg-type]
    latent = config.latent
    if config.kind == "autoencoder":
        bottleneck = nn.Linear(features, latent)
        return Autoencoder(encoder, bottleneck, decoder, likelihood, image_shape=image, latent=latent, classes=classes)
    posterior = POSTERIORS.build(Spec.parse(config.posterior), features, latent)
    prior = PRIORS.build(Spec.parse(config.prior), latent, image, classes)
    parts = (encoder, posterior, prior, decoder, likelihood)
    if config.kind == "m2":
        network = ENCODERS.build(Spec.parse(config.classifier), dataclasses.replace(shape, classes=0))
        classifier = Classifier(network, classes)
        return SemiSupervisedVAE(*parts, classifier, image_shape=image, latent=latent, classes=classes)
    return VAE(*parts, image_shape=image, latent=latent, classes=classes)


def _image_shape(config: ModelConfig) -> tuple[int, int, int]:
    if _takes_features(config):
        return 1, 1, config.image_shape[2]
    if len(config.image_shape) != 3 or config.image_shape[0] not in (1, 3) or min(config.image_shape[1:]) < 8:
        got = "×".join(map(str, config.image_shape))
        raise UsageError(f"expected images of 1 or 3 channels and at least 8×8 pixels, got {got}")
    channels, height, width = config.image_shape
    return channels, height, width


def _takes_features(config: ModelConfig) -> bool:
    """Whether it is for vectors of numbers, (1, 1, features), and its networks do not look for neighbours."""
    parts = (config.encoder, config.decoder, *([config.classifier] if config.kind == "m2" else []))
    flat = all(Spec.parse(part).name in ("mlp", "linear") for part in parts)
    return flat and len(config.image_shape) == 3 and config.image_shape[:2] == (1, 1) and config.image_shape[2] >= 1


def he_encoder_init(model: Model) -> None:
    """He in the encoder, PyTorch's smaller start in the decoder, and labels that enter by a layer of their own at 0.

    Sheet C's encoder needs the first: with PyTorch's start its 16-unit bottleneck often begins nearly dead, and one of
    two latent dimensions is never used. Its decoder learns faster from small weights: He gives a layer that sees two
    latents weights of size 1, which steps of 1e-3 are slow to move.
    """
    he_init(model.encoder)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and name.startswith(("posterior", "bottleneck")):
            _he(layer, gain=1.0)
        elif isinstance(layer, nn.Linear) and name.endswith(".condition"):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


def he_init(model: nn.Module) -> None:
    """Weights ~ N(0, gain² / fan-in), biases 0; the gain is √2 before a ReLU and 1 for the last layers (heads, output).

    A transposed convolution's fan-in counts the inputs that reach one output: channels × kernel² / stride².
    He et al. 2015, arXiv:1502.01852.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)}
    output = [name for name in layers if name.startswith("decoder.")][-1:]
    for name, layer in layers.items():
        last = name in output or name.startswith(("posterior.", "bottleneck"))
        _he(layer, gain=1.0 if last else math.sqrt(2.0))


def _he(module: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
    weight: Tensor = module.weight
    if isinstance(module, nn.ConvTranspose2d):
        fan_in = module.in_channels * math.prod(module.kernel_size) / math.prod(module.stride)
    else:
        fan_in = weight[0].numel()
    nn.init.normal_(weight, std=gain / math.sqrt(fan_in))
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def build_objective(text: str, model: Model) -> Objective:
    """The objective that ``text`` names; refuses one that does not fit the kind of model."""
    spec = Spec.parse(text)
    objective = OBJECTIVES.build(spec)
    own = {"autoencoder": "reconstruction", "m2": "m2", "m1+m2": "m2"}.get(model.kind)
    if spec.name != own if own else spec.name in ("reconstruction", "m2"):
        needed = own or "another, for instance elbo"
        raise UsageError(f"objective {spec.name!r} does not fit a model of kind {model.kind!r}; use {needed}")
    objective.bind(model)
    return objective
