"""PSNR and MS-SSIM against plain numpy, torchmetrics and what can be worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
)

from witt.metrics.published import ms_ssim_published, published_similarity
from witt.metrics.quality import capped, ms_ssim, psnr

Plane = npt.NDArray[np.float64]


def pictures(height: int, width: int, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Textured pictures and noisy copies, the noise differing from picture to picture."""
    generator = np.random.default_rng(seed)
    texture = gaussian_filter(generator.normal(size=(batch, 3, height, width)), (0, 0, 2, 2))
    reference = np.clip(0.5 + texture, 0, 1)
    sigma = np.linspace(0.02, 0.1, batch).reshape(-1, 1, 1, 1)
    noisy = reference + sigma * generator.normal(size=reference.shape)
    return torch.tensor(noisy).float(), torch.tensor(reference).float()


def levels(image: Tensor) -> Plane:
    return np.rint(np.clip(image.numpy().astype(np.float64), 0, 1) * 255)


def wang_2003(x: Plane, y: Plane, scales: int, window: int) -> float:
    """MS-SSIM of one channel in 8-bit levels, written out from the paper, 2-D windows."""
    axis = np.arange(window) - window // 2
    gauss = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 1.5**2))
    gauss /= gauss.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    # The five of the paper sum to 1.0001, and are used so.
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales])
    weights = weights if scales == 5 else weights / weights.sum()
    result = 1.0
    for scale in range(scales):
        mean_x, mean_y, xx, yy, xy = (
            convolve2d(plane, gauss, mode="valid") for plane in (x, y, x * x, y * y, x * y)
        )
        cs = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        term = cs if scale < scales - 1 else cs * luminance
        result *= max(term.mean(), 0) ** weights[scale]
        x, y = halve(x), halve(y)
    return float(result)


def halve(plane: Plane) -> Plane:
    odd_rows, odd_columns = (side % 2 for side in plane.shape)
    plane = np.pad(plane, ((odd_rows, odd_rows), (odd_columns, odd_columns)))
    plane = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4


def test_psnr_of_a_constant_error_is_the_closed_form() -> None:
    reference = torch.full((3, 3, 4, 5), 100 / 255)
    error = torch.tensor([1, 10, 100]).view(3, 1, 1, 1) / 255
    expected = [20 * math.log10(255 / step) for step in (1, 10, 100)]
    assert psnr(reference + error, reference).tolist() == pytest.approx(expected, abs=1e-12)


def test_psnr_meets_numpy_and_torchmetrics() -> None:
    image, reference = pictures(31, 47, batch=3)
    ours = psnr(image, reference)
    assert ours.dtype == torch.float64
    for index in range(3):
        x, y = levels(image[index]), levels(reference[index])
        plain = 10 * np.log10(255**2 / np.mean((x - y) ** 2))
        theirs = peak_signal_noise_ratio(torch.tensor(x), torch.tensor(y), data_range=255.0)
        assert ours[index].item() == pytest.approx(plain, abs=1e-10)
        assert ours[index].item() == pytest.approx(theirs.item(), abs=1e-4)


def test_metrics_are_of_the_8_bit_picture() -> None:
    reference = torch.full((1, 3, 16, 16), 100 / 255)
    assert psnr(reference + 0.49 / 255, reference).item() == math.inf
    assert psnr(reference + 0.51 / 255, reference).item() == pytest.approx(20 * math.log10(255))
    assert ms_ssim(reference + 0.49 / 255, reference).value.item() == 1
    assert ms_ssim(reference + 0.51 / 255, reference).value.item() < 1
    white = torch.ones(1, 3, 16, 16)
    assert psnr(white + 0.3, white).item() == math.inf
    assert psnr(-white, 0 * white).item() == math.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_psnr_takes_any_float(dtype: torch.dtype) -> None:
    # 0 and 1 are exact in every float, so the error is known: 255 in a quarter of the samples.
    reference = torch.zeros(1, 3, 2, 2, dtype=dtype)
    image = reference.clone()
    image[:, :, 0, 0] = 1
    assert psnr(image, reference).item() == pytest.approx(10 * math.log10(4))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (30, 30), (161, 161)])
def test_identical_pictures(size: tuple[int, int]) -> None:
    _, reference = pictures(*size)
    assert psnr(reference, reference).tolist() == [math.inf] * 2
    result = ms_ssim(reference, reference)
    if size == (1, 1):
        assert result.value.isnan().all()
    else:
        assert result.value.tolist() == [1.0] * 2
        assert result.db.tolist() == [math.inf] * 2


VARIANTS = [
    (161, 5, 11, "ms-ssim"),
    (176, 5, 11, "ms-ssim"),
    (160, 4, 11, "ms-ssim-4scales"),
    (81, 4, 11, "ms-ssim-4scales"),
    (80, 3, 11, "ms-ssim-3scales"),
    (41, 3, 11, "ms-ssim-3scales"),
    (40, 2, 11, "ms-ssim-2scales"),
    (21, 2, 11, "ms-ssim-2scales"),
    (20, 1, 11, "ms-ssim-1scale"),
    (11, 1, 11, "ms-ssim-1scale"),
    (10, 1, 9, "ms-ssim-1scale-window9"),
    (8, 1, 7, "ms-ssim-1scale-window7"),
    (5, 1, 5, "ms-ssim-1scale-window5"),
    (4, 1, 3, "ms-ssim-1scale-window3"),
    (3, 1, 3, "ms-ssim-1scale-window3"),
]


@pytest.mark.parametrize(("side", "scales", "window", "variant"), VARIANTS)
def test_ms_ssim_meets_the_paper_written_out(
    side: int, scales: int, window: int, variant: str
) -> None:
    image, reference = pictures(side + 13, side)
    result = ms_ssim(image, reference)
    assert result.variant == variant
    for index in range(2):
        x, y = levels(image[index]), levels(reference[index])
        channels = [wang_2003(x[c], y[c], scales, window) for c in range(3)]
        # The library rounds its window to float32.
        assert result.value[index].item() == pytest.approx(np.mean(channels), abs=1e-6)


def test_ms_ssim_meets_torchmetrics() -> None:
    # Grey, because torchmetrics averages the channels at each scale and not at the end;
    # 176 and 192, because it drops the last line of an odd side.
    image, reference = (grey[:, :1] for grey in pictures(176, 192))
    theirs = multiscale_structural_similarity_index_measure(
        torch.tensor(levels(image)),
        torch.tensor(levels(reference)),
        kernel_size=11,
        sigma=1.5,
        data_range=255.0,
        reduction="none",
        normalize="relu",
    )
    assert isinstance(theirs, Tensor)
    ours = ms_ssim(image.repeat(1, 3, 1, 1), reference.repeat(1, 3, 1, 1)).value
    # It takes the SSIM of the last scale over reflected borders too, hence no closer.
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize("most", [1, 176 * 50, 2**21])
def test_bands_of_a_picture_are_the_picture(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large pictures are compared in bands of lines: here of one line, of 50, and all at once."""
    image, reference = pictures(191, 176)
    whole = ms_ssim(image, reference).value
    monkeypatch.setattr("witt.metrics.quality.MOST_PIXELS", most)
    torch.testing.assert_close(ms_ssim(image, reference).value, whole, atol=1e-12, rtol=0)


def test_ms_ssim_in_db() -> None:
    result = ms_ssim(*pictures(24, 24))
    expected = [-10 * math.log10(1 - value) for value in result.value.tolist()]
    assert result.db.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_negative_is_worth_nothing() -> None:
    _, reference = pictures(48, 48)
    result = ms_ssim(1 - reference, reference)
    assert result.value.tolist() == [0.0, 0.0]
    assert result.db.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (50, 1)])
def test_too_small_for_structure_is_undefined(size: tuple[int, int]) -> None:
    result = ms_ssim(*pictures(*size))
    assert result.variant == "undefined"
    assert result.value.isnan().all()
    assert result.db.isnan().all()


@pytest.mark.parametrize("size", [(9, 14), (50, 33), (161, 170)])
def test_nothing_crosses_the_batch(size: tuple[int, int]) -> None:
    image, reference = pictures(*size, batch=3)
    image[1, 0, 0, 0] = torch.nan
    whole = ms_ssim(image, reference)
    for index in range(3):
        one = slice(index, index + 1)
        alone = ms_ssim(image[one], reference[one])
        assert torch.equal(alone.value.nan_to_num(-1), whole.value[one].nan_to_num(-1))
        assert torch.equal(
            psnr(image[one], reference[one]).nan_to_num(-1),
            psnr(image, reference)[one].nan_to_num(-1),
        )
    assert whole.value.isnan().tolist() == [False, True, False]
    assert psnr(image, reference).isnan().tolist() == [False, True, False]


def test_both_are_symmetric() -> None:
    image, reference = pictures(45, 52)
    image = image.clamp(0, 1)  # either may be the reference
    torch.testing.assert_close(psnr(image, reference), psnr(reference, image), rtol=0, atol=1e-12)
    there, back = ms_ssim(image, reference).value, ms_ssim(reference, image).value
    torch.testing.assert_close(there, back, rtol=0, atol=1e-12)


METRICS = [psnr, ms_ssim, published_similarity, ms_ssim_published]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (0.0, 255.0, "from 0 to 255"),
        (0.0, 1.00001, "from 0 to 1.00001"),
        (-0.1, 1.0, "from -0.1 to 1"),
        (0.0, math.nan, "nan"),
        (0.0, math.inf, "from 0 to inf"),
    ],
)
def test_the_reference_is_a_picture(
    metric: Callable[..., object], low: float, high: float, message: str
) -> None:
    reference = torch.full((2, 3, 32, 32), 0.5)
    reference[1, 0, 0, :2] = torch.tensor([low, high])
    with pytest.raises(ValueError, match=message):
        metric(reference + 40, reference)


@pytest.mark.parametrize("metric", METRICS)
def test_a_rounding_outside_is_a_picture(metric: Callable[..., object]) -> None:
    reference = torch.full((1, 3, 96, 96), 1 + 5e-7)
    reference[..., 0] = -5e-7
    metric(reference, reference)


def test_what_is_received_may_be_anything() -> None:
    """A decoder may overshoot, and a bad one may be anywhere."""
    reference = torch.full((1, 3, 16, 16), 0.5)
    for received, level in ((reference + 200, 255), (reference - 200, 0)):
        expected = 20 * math.log10(255 / abs(level - 128))
        assert psnr(received, reference).item() == pytest.approx(expected, abs=1e-12)
        clamped = torch.full_like(reference, level / 255)
        assert ms_ssim(received, reference).value == ms_ssim(clamped, reference).value


def test_what_figures_count_as() -> None:
    assert capped(math.inf, 100.0) == 100.0
    assert capped(130.0, 100.0) == 100.0
    assert capped(31.5, 100.0) == 31.5
    assert math.isnan(capped(math.nan, 100.0))


@pytest.mark.parametrize("metric", [psnr, ms_ssim])
@pytest.mark.parametrize(
    ("image", "reference", "message"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5), "differ in shape"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4), "differ in shape"),
        (torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), "must be"),
        (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), "must be"),
        (torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 4, 4), "must be"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "uint8"),
    ],
)
def test_refuses_what_is_not_a_batch_of_pictures(
    metric: object, image: Tensor, reference: Tensor, message: str
) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=message):
        metric(image, reference)
