"""Random numbers: one generator for training, one seed per image for evaluation.

An image's evaluation noise is seeded by (seed, content of the image), so a score does not depend on which other images
are in its batch, on the batch size, or on the order of the data set.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def generator(seed: int, device: torch.device | str = "cpu", *stream: int | str) -> torch.Generator:
    """A generator seeded by ``seed`` and the names of a stream (for instance an epoch); streams are independent.

    >>> a, b = generator(0, "cpu", "order", 1), generator(0, "cpu", "order", 1)
    >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
    True
    """
    text = "/".join(str(part) for part in (seed, *stream))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    made = torch.Generator(device=device)
    made.manual_seed(int.from_bytes(digest, "little") % 2**63)
    return made


def image_seeds(images: Tensor, seed: int, stream: str = "") -> list[int]:
    """One seed per image, from its content: ``images (batch, …)`` → ``batch`` integers in [0, 2⁶³).

    >>> x = torch.rand(4, 1, 8, 8)
    >>> image_seeds(x, 0)[2] == image_seeds(x[2:3], 0)[0]
    True
    """
    rows = np.ascontiguousarray(images.detach().cpu().numpy())
    if sys.byteorder == "big":  # the same seeds on every machine
        rows = rows.byteswap()
    salt = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest()
    digests = (hashlib.blake2b(row.tobytes(), digest_size=8, key=salt).digest() for row in rows)
    return [int.from_bytes(digest, "little") % 2**63 for digest in digests]


def normal_per_image(seeds: Sequence[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise ``(shape[0], batch, *shape[1:])``: image i's comes from its own generator.

    ``shape[0]`` is the number of samples; the batch is put behind it, as latents have it.
    """
    out = torch.empty(len(seeds), *shape)
    source = torch.Generator()
    for row, seed in zip(out, seeds, strict=True):
        source.manual_seed(seed)
        row.normal_(generator=source)  # the numbers of torch.randn, in less time
    return out.transpose(0, 1).contiguous().to(device)


def uniform_per_image(seeds: Sequence[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Uniform noise in [0, 1), ``(batch, *shape)``: image i's comes from its own generator."""
    out = torch.empty(len(seeds), *shape)
    source = torch.Generator()
    for row, seed in zip(out, seeds, strict=True):
        source.manual_seed(seed)
        torch.rand(shape, generator=source, out=row)
    return out.to(device)
