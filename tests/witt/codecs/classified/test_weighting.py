"""What errors count in MS-SSIM, against MS-SSIM itself."""

import math

import pytest
import pytorch_msssim
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.witt.codecs.classified.test_classes import (
    BLOCK,
    SMOOTH,
    USUAL_CBR,
    fitted,
    normal_of,
    pictures_of,
    textures,
)
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.codecs.classified.weighting import C2, sensitivity, weigh_for_ms_ssim, window_energy

SIDE, PATTERN = 96, 16


def contrast_lost(picture: Tensor, error: Tensor, scale: int) -> Tensor:
    """Sum over the windows of 1 − contrast-structure of one scale, of each colour: (3,)."""
    x, y = picture, picture + error
    for _ in range(scale):
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    x, y = (each.transpose(0, 1) for each in (x, y))
    # A K1 this large makes the luminance term 1.
    similarity = pytorch_msssim.ssim(x, y, data_range=1, size_average=False, K=(1e9, 0.03))
    windows = (x.shape[2] - 10) * (x.shape[3] - 10)
    return (1 - similarity) * windows


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_what_an_error_costs_on_a_flat_picture(scale: int) -> None:
    """There 1 − cs is σ_e²/(σ_e² + C2) exactly, and all windows that see the error are inside."""
    patterns = normal_of(1, 4, 3 * PATTERN**2)
    patterns = patterns / patterns.norm(dim=1, keepdim=True)
    shares = window_energy(patterns, PATTERN, 3)[:, scale] / 4**scale
    amplitude = 1e-3
    for pattern, share in zip(patterns, shares, strict=True):
        error = torch.zeros(1, 3, 256, 256, dtype=torch.float64)
        error[..., 128 : 128 + PATTERN, 128 : 128 + PATTERN] = pattern.reshape(
            1, 3, PATTERN, PATTERN
        )
        lost = contrast_lost(torch.full_like(error, 0.5), amplitude * error, scale)
        torch.testing.assert_close(lost, amplitude**2 * share / C2, rtol=1e-3, atol=0)


def test_what_an_error_costs_on_a_busy_picture() -> None:
    """On average over errors: one that goes with the texture costs less, one against it more."""
    amplitude, lost, said = 1e-3, 0.0, 0.0
    for seed in range(40):
        texture = 0.5 + 0.05 * normal_of(seed, 1, 3, SIDE, SIDE)
        error = torch.zeros_like(texture)
        pattern = normal_of(100 + seed, 3 * PATTERN**2)
        part = slice(32, 32 + PATTERN)
        error[..., part, part] = pattern.reshape(3, PATTERN, PATTERN)
        lost += contrast_lost(texture, amplitude * error, 0).sum()
        counts = sensitivity(texture, PATTERN, 1)[0, 2, 2, 0]
        said += amplitude**2 * (window_energy(pattern[None], PATTERN, 1)[0, 0] * counts).sum()
    assert abs(lost / said - 1) < 0.03


def test_flat_pictures_count_most() -> None:
    grey = torch.full((1, 3, 32, 48), 0.3)
    counts = sensitivity(grey, 8, 3)
    assert counts.shape == (1, 4, 6, 3, 3)
    torch.testing.assert_close(counts, torch.full_like(counts, 1 / C2))


def test_patterns_finer_than_a_scale_do_not_show_there() -> None:
    board = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    pattern = board.expand(3, 16, 16).reshape(1, -1) / math.sqrt(3 * 256)
    shares = window_energy(pattern, 16, 4)[0]
    torch.testing.assert_close(shares[0].sum(), torch.tensor(1.0), rtol=0.02, atol=0)
    assert shares[1:].abs().max() < 1e-6


def weigh(code: ClassifiedTransformCode) -> ClassifiedTransformCode:
    weigh_for_ms_ssim(code, pictures_of(textures(2).image), USUAL_CBR, 2, seed=2)
    return code


@pytest.fixture(scope="module")
def code() -> ClassifiedTransformCode:
    return weigh(fitted(pictures_of(textures(1).image)))


class TestWeights:
    def test_flat_tokens_count_more(self, code: ClassifiedTransformCode) -> None:
        busy = int(code.log_variance.exp().sum(1).argmax())
        means = code.log_weight.mean(1)
        assert means[1 - busy] > means[busy] + 0.1  # the windows are larger than these tokens
        # No weight but their ratios matters.
        assert abs(float(means.mean())) < 1e-5

    def test_long_waves_count_less(self, code: ClassifiedTransformCode) -> None:
        assert bool((code.log_wave_weight.diff(dim=0) >= 0).all())
        assert code.log_wave_weight.shape[1] == SMOOTH

    def test_nothing_else_changes(self, code: ClassifiedTransformCode) -> None:
        before = fitted(pictures_of(textures(1).image)).state_dict()
        for name, tensor in code.state_dict().items():
            assert torch.equal(tensor, before[name]) != name.endswith("weight"), name

    def test_the_seed_decides(self, code: ClassifiedTransformCode) -> None:
        again = weigh(fitted(pictures_of(textures(1).image)))
        assert torch.equal(again.log_weight, code.log_weight)
        assert again.block == BLOCK
