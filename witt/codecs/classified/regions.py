"""Which tokens the channel uses of a picture went to, and the error expected of each.

A feature of a class belongs to its token. One that is sent by its spatial frequency belongs to all
tokens, to each as much as the energy of its wave is there; so do the errors of these features,
which are independent of each other to the receiver.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.spectrum import energy_in_tokens
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.regions import Regions, over_pixels, shared_by_pixels


def regions_of(
    code: ClassifiedTransformCode,
    allocation: PictureAllocation,
    left: Tensor,
    estimate: Tensor,
    size: tuple[int, int],
    uses: int,
) -> Regions:
    """The maps of pictures.

    Args:
        code: of both ends.
        allocation: of these pictures.
        left: (B, h, w, C) error variance of each feature, from `lmmse`.
        estimate: (B, 3, H, W) what these errors are of, padded.
        size: (height, width) of the pictures.
        uses: channel uses of each.
    """
    of_tokens = token_uses(code, allocation)
    return Regions(
        shared_by_pixels(of_tokens, code.block, size),
        over_pixels(token_errors(code, allocation, left), code.block, size),
        code.block,
        estimate[:, :, : size[0], : size[1]],
    ).with_more(uses - of_tokens.sum((1, 2)))


def token_uses(code: ClassifiedTransformCode, allocation: PictureAllocation) -> Tensor:
    """(B, h, w) channel uses of the features of each token.

    They sum to `allocation.uses` less the dimensions that stay empty. A linear feature takes half a
    channel use, one with bandwidth expansion three or five halves.
    """
    dimensions = allocation.sent.to(allocation.variance.dtype)
    more = 2 * allocation.expanded_pairs.to(dimensions.dtype)
    flat = F.pad(dimensions.flatten(1), (0, 1)).scatter_add(1, allocation.expanded, more)
    return _in_tokens(code, flat[:, :-1].reshape(dimensions.shape)) / 2


def token_errors(
    code: ClassifiedTransformCode, allocation: PictureAllocation, left: Tensor
) -> Tensor:
    """(B, h, w) mean squared error expected of the values of each token.

    Args:
        code: of both ends.
        allocation: of these pictures.
        left: (B, h, w, C) error variance of each feature, from `lmmse`.
    """
    beside = code.log_rest.exp()[allocation.classes]  # what no feature holds
    return (_in_tokens(code, left) + beside) / code.mean.numel()


def _in_tokens(code: ClassifiedTransformCode, of_features: Tensor) -> Tensor:
    """(B, h, w) sums of (B, h, w, C) over the features of each token."""
    smooth, own = of_features[..., : code.smooth], of_features[..., code.smooth :]
    return energy_in_tokens(smooth) + own.sum(-1)
