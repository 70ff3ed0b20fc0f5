"""The classes of tokens and the KLT of each, from training pictures.

Lloyd's algorithm: each token goes to the class in which it costs least at a usual rate and SNR
(`witt.codecs.classified.transform_code`), then each class gets the mean and the KLT of its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from witt.codecs.classified.class_map import map_rate
from witt.codecs.classified.spectrum import OCTAVES, dct, interpolation_weights
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.errors import InputError
from witt.pictures.images import Pixels, mirrored

PIXELS = 40_000_000  # of the pictures that each pass looks at
TOKENS = 80_000
ITERATIONS = 10
USUAL_SNR_DB = 10.0
LEAST_VARIANCE = 1e-8


@torch.no_grad()
def start_classes(
    code: ClassifiedTransformCode, pictures: Sequence[Pixels], usual_cbr: float, seed: int
) -> None:
    """Set all transforms and statistics of a code.

    Args:
        code: is changed.
        pictures: some of them are looked at, 40 megapixels at a time.
        usual_cbr: the rate for which the classes are made.
        seed: of the choice of pictures and tokens.

    Raises:
        InputError: none of the pictures can be read.
    """
    rng = np.random.default_rng([seed, 0xC1A5])
    _start_basis(code, pictures, rng)
    own = _tokens(code, pictures, rng)[:, code.smooth :]
    _start_spectrum(code, pictures, rng)
    # At first by their energy, in quantiles.
    energy = own.square().sum(1).log()
    cuts = energy.quantile(torch.linspace(0, 1, code.classes + 1)[1:-1])
    labels = torch.bucketize(energy, cuts)
    snr_db = torch.tensor([USUAL_SNR_DB])
    k = torch.tensor([round(usual_cbr * 6 * code.block**2)])
    for _ in range(ITERATIONS):
        _fit(code, own, labels)
        share = torch.bincount(labels, minlength=code.classes) / len(labels)
        code.map_bits.copy_(-share.clamp_min(1e-4).log2().expand_as(code.map_bits))
        counts = share[None] * 1024
        prices = code.allocate_components(counts, (32, 32), snr_db, 1024 * k, expansion=False)
        labels = code.costs(own[None], prices, code.bit_price(prices, snr_db, map_rate(snr_db)))[
            0
        ].argmin(-1)
    _fit(code, own, labels)
    _start_map(code, pictures, rng, snr_db, k)


def some_images(
    pictures: Sequence[Pixels], block: int, rng: np.random.Generator
) -> Iterator[Tensor]:
    """(1, 3, H, W) in [0, 1] of some pictures, cut to whole blocks from a random place."""
    pixels_seen = 0
    for index in rng.permutation(len(pictures)):
        if pixels_seen > PIXELS:
            break
        try:
            pixels = mirrored(pictures[int(index)], block)
        except InputError:  # the training stream names it when its turn comes
            continue
        height, width = (side // block * block for side in pixels.shape[:2])
        pixels_seen += height * width
        top = int(rng.integers(pixels.shape[0] - height + 1))
        left = int(rng.integers(pixels.shape[1] - width + 1))
        part = pixels[top : top + height, left : left + width]
        yield torch.from_numpy(part.copy()).permute(2, 0, 1)[None] / 255
    if not pixels_seen:
        raise InputError("none of the training pictures can be read")


def _start_basis(
    code: ClassifiedTransformCode, pictures: Sequence[Pixels], rng: np.random.Generator
) -> None:
    size = code.mean.numel()
    total, outer, count = torch.zeros(size).double(), torch.zeros(size, size).double(), 0
    for image in some_images(pictures, code.block, rng):
        rows = F.pixel_unshuffle(image - 0.5, code.block).permute(0, 2, 3, 1).reshape(-1, size)
        total += rows.sum(0)
        outer += (rows.T @ rows).double()
        count += len(rows)
    mean = total / count
    vectors = torch.linalg.eigh(outer / count - torch.outer(mean, mean))[1].flip(1)
    code.mean.copy_(mean)
    code.basis.copy_(vectors.T[: len(code.basis)])


def _tokens(
    code: ClassifiedTransformCode, pictures: Sequence[Pixels], rng: np.random.Generator
) -> Tensor:
    """(n, C) shared coefficients of random tokens."""
    sets = [code.project(image).flatten(0, 2) for image in some_images(pictures, code.block, rng)]
    share = min(1.0, TOKENS / sum(map(len, sets)))
    return torch.cat(
        [t[torch.from_numpy(rng.permutation(len(t))[: round(share * len(t))])] for t in sets]
    )


def _start_spectrum(
    code: ClassifiedTransformCode, pictures: Sequence[Pixels], rng: np.random.Generator
) -> None:
    power = torch.zeros(len(OCTAVES), code.smooth).double()
    weights = torch.zeros(len(OCTAVES), 1).double()
    for image in some_images(pictures, code.block, rng):
        powers = dct(code.project(image)[..., : code.smooth])[0].square()
        near = interpolation_weights(powers.shape[0], powers.shape[1], powers)
        power += torch.einsum("uvk,uvc->kc", near, powers)
        weights += near.sum(dim=(0, 1))[:, None]
    log = torch.log((power / weights.clamp_min(1e-9)).clamp_min(LEAST_VARIANCE))
    for node in range(len(OCTAVES) - 2, -1, -1):  # the lowest take large pictures to be seen
        if weights[node] < 1e-3:
            log[node] = log[node + 1]
    code.log_spectrum.copy_(log)


def _fit(code: ClassifiedTransformCode, own: Tensor, labels: Tensor) -> None:
    """Mean, KLT and variances of each class; a class of few tokens stays as it is."""
    for c in range(code.classes):
        mine = own[labels == c]
        if len(mine) < 8:
            continue
        mean = mine.mean(0)
        values, vectors = torch.linalg.eigh(((mine - mean).T @ (mine - mean)) / len(mine))
        code.rotation[c] = vectors.flip(1)
        code.centre[c] = mean @ code.rotation[c]
        code.log_variance[c] = values.flip(0).clamp_min(LEAST_VARIANCE).log()


def _start_map(
    code: ClassifiedTransformCode,
    pictures: Sequence[Pixels],
    rng: np.random.Generator,
    snr_db: Tensor,
    k: Tensor,
) -> None:
    """Bits of a class after its left neighbour, and what the features leave over."""
    pairs = torch.ones(code.classes + 1, code.classes)
    rest, tokens = torch.zeros(code.classes), torch.ones(code.classes)
    for image in some_images(pictures, code.block, rng):
        shared = code.project(image)
        classes = code.classify(shared, snr_db, k)[0]
        flat = classes.flatten()
        pairs[-1] += torch.bincount(flat, minlength=code.classes)
        if classes.shape[1] > 1:
            joint = classes[:, :-1].flatten() * code.classes + classes[:, 1:].flatten()
            pairs[:-1] += torch.bincount(joint, minlength=code.classes**2).view(code.classes, -1)
        blocks = F.pixel_unshuffle(image - 0.5, code.block).permute(0, 2, 3, 1) - code.mean
        left = blocks.square().sum(-1) - shared.square().sum(-1)
        rest.index_add_(0, flat, left.flatten().clamp_min(0))
        tokens += torch.bincount(flat, minlength=code.classes)
    code.map_bits.copy_(-(pairs / pairs.sum(1, keepdim=True)).log2())
    code.log_rest.copy_((rest / tokens).clamp_min(LEAST_VARIANCE).log())
