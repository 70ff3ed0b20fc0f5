"""What every channel shares: y = h x + n, with n ~ CN(0, N0) and N0 = 10^(-snr_db / 10)."""

import math
from numbers import Real
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

# Below this, N0 and its reciprocal powers leave the range of float32 in the equalisers' gradients.
MIN_SNR_DB = -100.0


class ChannelOutput(NamedTuple):
    """What the receiver gets; `equaliser(*output)` is how it is used.

    Attributes:
        y: Received symbols, (B, N) complex.
        h: Channel gain, complex and broadcastable to y (the receiver's perfect CSI).
        noise_var: N0 per complex symbol, (B, 1) real, before any equalisation.
    """

    y: Tensor
    h: Tensor
    noise_var: Tensor


class Channel(nn.Module):
    """Memoryless channel y = h x + n; a subclass says how h and n are drawn.

        x ──►(×)──►(+)──► y
              ▲     ▲
              h     sqrt(N0) · noise,  E|noise|² = 1

    One of your own overrides `draw`, or `sample_gain` alone where the noise is CN(0, 1).

    Attributes:
        fading: Whether there is a random gain h.
        draws_state: Whether `draw` has, in the place of a gain, all that is random but the noise,
            (B, M), from which `forward` makes the gain; for fewer symbols its first columns do.
        overhead: Channel uses for each symbol, with what is sent beside them, as pilots are.
        label: How results call it; its name and settings where it has none.
    """

    fading: ClassVar[bool] = False
    draws_state: ClassVar[bool] = False
    overhead: float = 1.0
    label: str | None = None

    def sample_gain(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw the gain of `n` symbols for each of `batch` images, E|h|^2 = 1.

        Args:
            batch: Number of images B.
            n: Channel uses N of an image.
            dtype: complex64 or complex128.
            device: Where the gain is wanted.
            generator: Source of randomness; torch's default one when None.

        Returns:
            Complex gain, (B, N) or (B, 1); here the constant 1.
        """
        return torch.ones((batch, 1), dtype=dtype, device=device)

    def draw(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Draw all that is random of `n` symbols for each of `batch` images.

        Every random number comes from the generator: the same seed gives the same draw.

        Args:
            batch, n, dtype, device, generator: As of `sample_gain`.

        Returns:
            The gain, complex (B, N) or (B, 1), and None where the channel does not fade (with
            `draws_state` any (B, M) instead); and the noise of unit mean power, complex (B, N),
            which sqrt(N0) scales: CN(0, 1) here.
        """
        h = None
        if self.fading:
            h = self.sample_gain(batch, n, dtype=dtype, device=device, generator=generator)
        return h, complex_normal((batch, n), dtype=dtype, device=device, generator=generator)

    def planned_db(self, snr_db: float | Tensor) -> float | Tensor:
        """SNR in dB that a transmitter is told when that of a symbol is `snr_db`.

        What a receiver reports to it: less where noise is not all that is wrong, as with an
        estimated gain.

        Args:
            snr_db: Es/N0, a number or (B,).
        """
        return snr_db

    def forward(
        self,
        x: Tensor,
        snr_db: float | Tensor,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> ChannelOutput:
        """Send symbols: y = h x + sqrt(N0) noise, N0 = 10^(-snr_db / 10).

        N0 refers to unit average transmit power and E|h|^2 = 1; it is never measured from x or
        from the faded signal, so normalise x first (`normalise_power`).

        Args:
            x: Channel symbols, (B, N), complex64 or complex128, any device.
            snr_db: Es/N0 in dB for all images, or a (B,) tensor with one for each image (gradients
                flow to it). +inf is a noiseless channel. NaN is refused, except in a tensor that
                lives on an accelerator: reading it would stall the device, and it shows in y.
            h: Gain to use instead of a drawn one, broadcastable to x.
            noise: Samples of unit power to use instead of drawn ones, (B, N); scaled by sqrt(N0)
                here.
            generator: Source of randomness, on any device; torch's default one when None.

        Returns:
            ChannelOutput(y, h, noise_var), in x's precision and on its device.

        Raises:
            ValueError: x is not a complex (B, N) tensor, snr_db is NaN, below -100 dB or of the
                wrong shape, or h or noise does not fit x.
        """
        check_symbols(x)
        batch, n = x.shape
        noise_std, noise_var = noise_level(snr_db, x)
        if noise is None or (h is None and self.fading):
            drawn = self.draw(batch, n, dtype=x.dtype, device=x.device, generator=generator)
            h = drawn[0] if h is None else h
            noise = drawn[1] if noise is None else noise
        if h is None:
            faded, h = x, x.new_ones((batch, 1))
        else:
            h = _injected_gain(h, x)
            faded = h * x
        # As reals: the same numbers as a complex product has, in less than half of the time.
        iq = torch.view_as_real(injected_noise(noise, x).resolve_conj()) * noise_std.unsqueeze(2)
        return ChannelOutput(faded + torch.view_as_complex(iq), h, noise_var)


def complex_normal(
    shape: tuple[int, ...],
    *,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw CN(0, 1): circular complex Gaussian, variance 1/2 in each of I and Q.

    The draw happens on the generator's device and is then moved, so that one CPU seed gives the
    same samples whatever device the symbols live on.

    Args:
        shape: Shape of the result.
        dtype: complex64 or complex128.
        device: Where the samples are wanted; the generator's device, or the CPU, when None.
        generator: Source of randomness; torch's default one on `device` when None.

    Returns:
        Complex samples of the given shape.

    Raises:
        ValueError: dtype is not complex64 or complex128.
    """
    if dtype not in (torch.complex64, torch.complex128):
        raise ValueError(f"dtype must be torch.complex64 or torch.complex128, got {dtype}")
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    source = generator.device if generator is not None else device
    # Real draws, because not every backend draws complex ones.
    iq = torch.randn((*shape, 2), dtype=real, device=source, generator=generator)
    samples = torch.view_as_complex(iq.mul_(math.sqrt(0.5)))
    return samples if device is None else samples.to(device)


def check_symbols(x: Tensor) -> None:
    """Raise ValueError unless x is (B, N) complex64 or complex128 with N of at least 1."""
    if x.dtype not in (torch.complex64, torch.complex128) or x.dim() != 2 or x.shape[1] < 1:
        raise ValueError(
            "symbols must be (B, N) complex64 or complex128 with N of at least 1, "
            f"got {tuple(x.shape)} {x.dtype}"
        )


def broadcasts_to(value: Tensor, target: Tensor) -> bool:
    """Whether value expands to target's shape, with target left as it is."""
    sizes = zip(reversed(value.shape), reversed(target.shape), strict=False)
    return value.dim() <= target.dim() and all(a in (1, b) for a, b in sizes)


def noise_level(snr_db: float | Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(N0) and N0 of symbols x, both (B, 1) real; ValueError where snr_db has none."""
    batch, real = x.shape[0], x.real.dtype
    if not isinstance(snr_db, Tensor):
        if not isinstance(snr_db, Real):
            raise ValueError(f"snr_db must be a number or a (B,) tensor, got {snr_db!r}")
        if not snr_db >= MIN_SNR_DB:
            raise ValueError(f"snr_db must be at least {MIN_SNR_DB:g} dB (or inf), got {snr_db}")
        std = 10.0 ** (-float(snr_db) / 20)
        full = x.real.new_full
        return full((batch, 1), std), full((batch, 1), std * std)
    if snr_db.is_complex() or snr_db.shape not in ((), (batch,)):
        raise ValueError(
            f"snr_db must be a number or a real tensor of shape ({batch},), one for each image, "
            f"got {tuple(snr_db.shape)} {snr_db.dtype}"
        )
    # On an accelerator the check would make the host wait for the device.
    if snr_db.device.type == "cpu" and not bool((snr_db >= MIN_SNR_DB).all()):
        raise ValueError(
            f"snr_db must be at least {MIN_SNR_DB:g} dB (or inf), got {snr_db.tolist()}"
        )
    level = snr_db.to(device=x.device, dtype=real).expand(batch).unsqueeze(1)
    # The root first: the gradient of sqrt(N0) at N0 = 0 would be infinite.
    noise_std = torch.pow(10.0, -level / 20)
    return noise_std, noise_std.square()


def _injected_gain(h: Tensor, x: Tensor) -> Tensor:
    if not broadcasts_to(h, x) or not (h.is_complex() or h.is_floating_point()):
        raise ValueError(
            f"h must be complex or real and broadcastable to x {tuple(x.shape)}, "
            f"got {tuple(h.shape)} {h.dtype}"
        )
    return h.to(device=x.device, dtype=x.dtype)


def injected_noise(noise: Tensor, x: Tensor) -> Tensor:
    """Noise that is given, in x's precision and on its device; ValueError where it does not fit."""
    # Not broadcast: shared samples would couple the images, real ones would not be circular.
    if noise.shape != x.shape or not noise.is_complex():
        raise ValueError(
            f"noise must be complex and of x's shape {tuple(x.shape)}, "
            f"got {tuple(noise.shape)} {noise.dtype}"
        )
    return noise.to(device=x.device, dtype=x.dtype)
