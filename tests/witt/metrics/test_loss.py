"""The losses: values against the metrics, gradients against finite differences."""

import pytest
import torch

from witt.errors import InputError
from witt.metrics.loss import loss_of, ms_ssim, ms_ssim_scales
from witt.metrics.quality import ms_ssim as metric


def eight_bit(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A picture that rounding to 8 bits does not change, with structure."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    smooth = noise.cumsum(-1).cumsum(-2)
    smooth -= smooth.amin(dim=(2, 3), keepdim=True)
    return (smooth / smooth.amax(dim=(2, 3), keepdim=True) * 235 + 10).round() / 255


@pytest.mark.parametrize(("side", "scales"), [(176, 5), (160, 4), (64, 3), (21, 2), (16, 1)])
def test_ms_ssim_is_the_metric(side: int, scales: int) -> None:
    image = eight_bit((2, 3, side, side), 0)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    received = ((image * 255 + 8 * noise).round().clamp(0, 255) / 255).to(torch.float64)
    assert ms_ssim_scales(side) == scales
    torch.testing.assert_close(
        ms_ssim(received, image), metric(received, image).value, rtol=1e-5, atol=1e-5
    )
    # float32 is what training uses.
    torch.testing.assert_close(
        ms_ssim(received.float(), image.float()).double(), ms_ssim(received, image),
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip


def test_ms_ssim_gradient() -> None:
    image = eight_bit((1, 3, 22, 24), 2)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    received = (image + 0.05 * noise).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ms_ssim(x, image), received, fast_mode=True)


def test_ms_ssim_gradient_is_finite_where_nothing_is_alike() -> None:
    image = eight_bit((1, 3, 32, 32), 2).float()
    for other in (1 - image, torch.zeros_like(image), image):
        received = other.clone().requires_grad_()
        ms_ssim(received, image).sum().backward()
        assert received.grad is not None
        assert bool(torch.isfinite(received.grad).all())


def test_small_crops_are_refused() -> None:
    with pytest.raises(InputError, match="at least 11 pixels, not 8"):
        ms_ssim_scales(8)


def test_mse_is_the_mean_psnr() -> None:
    """Of images at 20 and 14 dB the loss is that of 17 dB: neither drowns the other."""
    image = torch.zeros(2, 3, 4, 4)
    received = image.clone()
    received[0], received[1] = 0.1, 10**-0.7
    assert float(-10 * torch.log10(loss_of("mse", received, image))) == pytest.approx(17, abs=1e-4)


def test_mse_gradient_is_finite_without_an_error() -> None:
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    received = image.clone().requires_grad_()
    loss_of("mse", received, image).backward()
    assert received.grad is not None
    assert not received.grad.any()
