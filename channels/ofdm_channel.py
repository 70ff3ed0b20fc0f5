"""Symbols over OFDM: pilots, multipath that changes with time, noise, and the channel estimated.

    x ─► grid with pilots ─► (amplifier) ─► paths ─► (oscillators) ─► + noise ─► y, h_hat

What is sent beside the symbols is in `overhead`; the noise is relative to the power of a data
symbol, which pilots have too. The prefix is cut off and counts in the overhead only.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from channels.amplifier import Amplifier
from channels.base import (
    Channel,
    ChannelOutput,
    check_symbols,
    complex_normal,
    injected_noise,
    noise_level,
)
from channels.estimation import Basis, Estimate, Estimator, LeastSquares, Lmmse
from channels.impairments import FrontEnd, clip, kept_power, phase_steps
from channels.ofdm import Grid, to_frequency, to_time
from channels.tdl import Paths

ESTIMATIONS = ("perfect", "ls", "lmmse")
DOMAINS = ("auto", "frequency", "time")
_BASES: dict[Any, Basis] = {}  # of frequency, by the paths and the grid
MOST_BASES = 16


class State(NamedTuple):
    """All that is random but the noise of the data.

    gains: of the paths at the start, middle and end of each OFDM symbol, (B, 2 T + 1, P); the
        end of one is the start of the next.
    pilot_noise: CN(0, 1), (B, slots, pilots of a slot).
    steps: CN(0, 1), whose real and imaginary parts are those of the oscillator's phase at two
        samples, (B, slots, half the samples of a slot); none where it has no phase noise.
    """

    gains: Tensor
    pilot_noise: Tensor
    steps: Tensor


class Ofdm(Channel):
    """Symbols over OFDM and time-varying multipath; see the module.

    The gain of a path is a quadratic over each OFDM symbol, through its values at start, middle
    and end. Where the prefix covers the longest delay ("frequency"), that is exact: a delay is a
    phase on each subcarrier, and a gain that changes within the symbol mixes the subcarriers.
    Where it does not ("time"), all samples go through all paths, and symbols interfere too.

    `draw` has a `State` in the place of a gain. `forward` returns the estimated gain as h and, as
    noise_var, N0 with all that the receiver cannot tell from noise: the error of the estimate,
    interference between subcarriers and the amplifier's distortion, each by its mean power.
    With "perfect" h is the mean gain of each subcarrier over the symbol.

    Args:
        paths: of the channel.
        grid: of data and pilots.
        estimation: "perfect", "ls" or "lmmse"; the last knows the statistics of the paths.
        front_end: what is not ideal in the radios.
        domain: "frequency", "time", or "auto" for the one that is right.
        interleave: whether symbols are spread over the grid, in an order that both ends know. A
            codec's symbols are not of equal power, and strong ones side by side would clip.

    Raises:
        ValueError: an unknown estimation or domain.
    """

    fading: ClassVar[bool] = True
    draws_state: ClassVar[bool] = True

    def __init__(
        self,
        paths: Paths,
        grid: Grid | None = None,
        estimation: str = "lmmse",
        front_end: FrontEnd | None = None,
        domain: str = "auto",
        interleave: bool = True,
    ) -> None:
        super().__init__()
        for name, value, choices in (
            ("estimation", estimation, ESTIMATIONS),
            ("domain", domain, DOMAINS),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        self.paths, self.grid = paths, grid or Grid()
        self.front_end, self.estimation = front_end or FrontEnd(), estimation
        self.overhead, self.interleave = self.grid.overhead, interleave
        numbers = self.grid.numerology
        late = float(paths.delays_s.max()) * numbers.rate_hz > numbers.prefix
        self.in_time = domain == "time" or (domain == "auto" and late)
        self.kept, self.blurred, self.turned = self._powers()
        self.amplifier = Amplifier.of(numbers, self.front_end)

    # What is drawn

    def draw(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Draw a `State`, as one (B, M) tensor, and the noise of the data, that of AWGN."""
        slots, each = self.grid.slots(n), self.grid.pilots.slot
        how = {"dtype": dtype, "device": device, "generator": generator}
        step_s = self.grid.numerology.period_s / 2
        noise = complex_normal((batch, n), **how)  # type: ignore[arg-type]
        gains = self.paths.gains(batch, 2 * slots * each + 1, step_s, **how)  # type: ignore[arg-type]
        own = complex_normal((batch, slots, self._own), **how)  # type: ignore[arg-type]
        first, rest = gains[:, 0], gains[:, 1:].unflatten(1, (slots, -1)).flatten(2)
        state = torch.cat((first, torch.cat((rest, own), dim=2).flatten(1)), dim=1)
        return state, noise

    @property
    def _pilots(self) -> int:
        return int(self.grid.is_pilot.sum())

    @property
    def _own(self) -> int:
        """Numbers of a slot's state that are not gains."""
        samples = self.grid.pilots.slot * self.grid.numerology.length
        return self._pilots + (-(-samples // 2) if self.front_end.linewidth_hz else 0)

    def state(self, drawn: Tensor, n: int) -> State:
        """What a (B, M) tensor from `draw` holds, for n symbols or fewer than were drawn for.

        Raises:
            ValueError: it is too short.
        """
        paths, slots = len(self.paths.delays_s), self.grid.slots(n)
        in_gains = 2 * self.grid.pilots.slot * paths
        length = slots * (in_gains + self._own)
        if drawn.dim() != 2 or drawn.shape[1] < paths + length:
            raise ValueError(
                f"h of an OFDM channel is what its draw returns: for {n} symbols "
                f"(B, {paths + length}), not {tuple(drawn.shape)}"
            )
        rest = drawn[:, paths : paths + length].unflatten(1, (slots, -1))
        gains = rest[:, :, :in_gains].flatten(1).unflatten(1, (-1, paths))
        own = rest[:, :, in_gains:]
        return State(
            torch.cat((drawn[:, None, :paths], gains), dim=1),
            own[:, :, : self._pilots],
            own[:, :, self._pilots :],
        )

    def planned_db(self, snr_db: float | Tensor) -> float | Tensor:
        """Mean power of the gain over that of all that the receiver takes for noise, in dB."""
        level = torch.as_tensor(snr_db, dtype=torch.float64)
        noise_var = (10 ** (-level / 10)).reshape(-1, 1)
        gain = self.kept * self.amplifier.gain**2
        spoiled = noise_var + self.blurred + (self.turned + self.amplifier.distortion) * gain
        if self.estimation != "perfect":
            pilots = self.grid.take_pilots(self.grid.place(level.new_zeros(1, 1) + 0j))
            # The data of the second slot of three, which is neither at the start nor at the end.
            spoilt = noise_var + self.blurred + self.turned + self.amplifier.distortion
            nothing = pilots.new_zeros(len(noise_var), 3 * pilots.shape[1], pilots.shape[2])
            error = self.estimator(3)(nothing, spoilt).error_var
            middle = error[:, self.grid.pilots.slot : -self.grid.pilots.slot]
            spoiled = spoiled + middle.mean((1, 2))[:, None]
        planned = 10 * torch.log10(gain / spoiled.squeeze(1))
        return (
            planned.reshape(level.shape).to(snr_db)
            if isinstance(snr_db, Tensor)
            else float(planned)
        )

    # The way of the symbols

    def forward(
        self,
        x: Tensor,
        snr_db: float | Tensor,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> ChannelOutput:
        """Send symbols; see `Channel.forward` and the class.

        Args:
            x: Channel symbols, (B, N) complex.
            snr_db: Es/N0 in dB of a data symbol.
            h: What `draw` returns as the gain.
            noise: Of the data, (B, N).
            generator: Source of randomness.

        Returns:
            ChannelOutput(y, h, noise_var), all (B, N); h is the estimate.
        """
        check_symbols(x)
        batch, n = x.shape
        noise_std, noise_var = noise_level(snr_db, x)
        if h is None or noise is None:
            drawn = self.draw(batch, n, dtype=x.dtype, device=x.device, generator=generator)
            h = drawn[0] if h is None else h
            noise = drawn[1] if noise is None else noise
        if h is None or h.shape[0] != batch:
            raise ValueError(f"h must be the state of {batch} images")
        state = self.state(h.to(device=x.device, dtype=x.dtype), n)
        order = self._order(n).to(x.device)
        received, gain = self._through(self.grid.place(x[:, order]), state)
        estimate = self._estimated(received, gain, state, noise_std)
        back = order.argsort()
        y, h_hat, error = (
            self.grid.take(part, n)[:, back] for part in (received, estimate.h, estimate.error_var)
        )
        y = y + noise_std * injected_noise(noise, x)
        # What the radios do comes with the gain; what movement does is independent of it.
        scaled = self.turned + self.amplifier.distortion
        unknown = noise_var + error + self.blurred + scaled * _power(h_hat)
        return ChannelOutput(y, h_hat, unknown)

    def _order(self, n: int) -> Tensor:
        """Number of the symbol at each place, (N,)."""
        if not self.interleave:
            return torch.arange(n)
        return torch.randperm(n, generator=torch.Generator().manual_seed(0))

    def _through(self, sent: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """The grid as it is received, without noise, and the gain of each place in it."""
        numbers = self.grid.numerology
        if self.front_end.clip_db is not None:
            power = numbers.subcarriers / numbers.fft_size
            samples = clip(
                to_time(sent, numbers), self.front_end.clip_db, self.front_end.amplifier, power
            )
            sent = self.amplifier.scale * to_frequency(samples, numbers)
        responses = self._responses(state.gains)  # at start, middle and end
        late = self._drift(sent)
        if not (self.paths.doppler_hz or self.front_end.turns or self.in_time):
            return responses[1] * late * sent, responses[1] * late * self.amplifier.gain
        shape, turn = self._quadratics(sent), self._turned(state, sent)
        if self.in_time:
            samples = self._in_time(late * sent, state.gains)
        else:
            samples = sum(  # type: ignore[assignment]
                weight * to_time(response * late * sent, numbers)
                for weight, response in zip(shape, responses, strict=True)
            )
        gain = late * self.amplifier.gain * torch.ones_like(sent)
        gain = gain * sum(
            (weight * turn).mean(-1, keepdim=True) * response
            for weight, response in zip(shape, responses, strict=True)
        )
        return to_frequency(samples * turn, numbers), gain

    def _responses(self, gains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """H at the start, middle and end of each OFDM symbol, (B, T, K) each."""
        numbers = self.grid.numerology
        hertz = numbers.numbers().double() * numbers.spacing_hz
        phases = torch.exp(-2j * math.pi * self.paths.delays_s[:, None] * hertz)
        response = gains @ phases.to(gains)
        return response[:, :-1:2], response[:, 1::2], response[:, 2::2]

    def _quadratics(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of the gains at start, middle and end at each sample after the prefix."""
        numbers = self.grid.numerology
        n = torch.arange(numbers.fft_size, device=like.device, dtype=like.real.dtype)
        return _through_three(2 * (n + numbers.prefix) / numbers.length - 1)

    def _drift(self, like: Tensor) -> Tensor | float:
        """Phases of the subcarriers from a clock that is slow, in the middle of each symbol.

        What changes within the symbol is left out: at 10 ppm it is 1e-4 of the noise at 10 dB.
        """
        ppm = self.front_end.sampling_ppm
        if not ppm:
            return 1.0
        numbers = self.grid.numerology
        middle = torch.arange(like.shape[1]) * numbers.length + numbers.length / 2
        cycles = middle.double()[:, None] * numbers.numbers() * ppm * 1e-6 / numbers.fft_size
        return torch.exp(2j * math.pi * cycles).to(like)

    def _turned(self, state: State, like: Tensor) -> Tensor:
        """exp(j phase) of the oscillators at each sample after the prefix, (B or 1, T, F)."""
        numbers, end = self.grid.numerology, self.front_end
        count = like.shape[1]
        if not end.turns:
            return like.new_ones(1, 1, numbers.fft_size)
        n = torch.arange(count * numbers.length, dtype=torch.float64, device=like.device)
        phase = (2 * math.pi * end.offset / numbers.fft_size * n)[None]
        if end.linewidth_hz:
            # Each part of CN(0, 1) has half of its variance.
            steps = torch.view_as_real(state.steps.contiguous()).flatten(2)
            steps = steps[:, :, : self.grid.pilots.slot * numbers.length].flatten(1).double()
            deviation = math.sqrt(2) * phase_steps(end.linewidth_hz, numbers.rate_hz)
            phase = phase + deviation * steps.cumsum(1)
        turn = torch.exp(1j * phase.unflatten(1, (count, -1))[:, :, numbers.prefix :])
        if end.tracking:
            mean = turn.mean(-1, keepdim=True)
            turn = turn * mean.conj() / mean.abs()
        return turn.to(like)

    def _in_time(self, sent: Tensor, gains: Tensor) -> Tensor:
        """Samples after the prefix, (B, T, F), when all samples go through all paths."""
        numbers, delays = self.grid.numerology, self.paths.delays_s * self.grid.numerology.rate_hz
        samples = to_time(sent, numbers)
        start = numbers.fft_size - numbers.prefix
        stream = torch.cat((samples[..., start:], samples), dim=-1).flatten(1)
        # Zeros before what wraps round: delays, and the ringing of those between samples.
        length = stream.shape[1] + int(delays.max()) + numbers.fft_size
        spectrum = torch.fft.fft(stream, n=length)
        cycles = torch.fft.fftfreq(length, dtype=torch.float64)
        n = torch.arange(numbers.length, device=sent.device, dtype=sent.real.dtype)
        shape = torch.stack(_through_three(2 * n / numbers.length - 1))
        received = torch.zeros_like(stream)
        for path, delay in enumerate(delays):
            turned = spectrum * torch.exp(-2j * math.pi * cycles * delay).to(sent)
            late = torch.fft.ifft(turned)[:, : stream.shape[1]]
            own = gains[:, :, path]
            three = torch.stack((own[:, :-1:2], own[:, 1::2], own[:, 2::2]), dim=2)
            received = received + (three @ shape.to(three)).flatten(1) * late
        return received.unflatten(1, (-1, numbers.length))[:, :, numbers.prefix :]

    # The receiver

    def _estimated(
        self, received: Tensor, gain: Tensor, state: State, noise_std: Tensor
    ) -> Estimate:
        if self.estimation == "perfect":
            return Estimate(gain.expand_as(received), torch.zeros_like(received.real))
        pilots = self.grid.take_pilots(received)
        noise = state.pilot_noise.flatten(1).unflatten(1, pilots.shape[1:])
        sequence = self.grid.sequence(received)
        slots = received.shape[1] // self.grid.pilots.slot
        at_pilots = (pilots + noise_std[:, :, None] * noise) / sequence.repeat(slots, 1)
        spoiled = noise_std.square() + self.blurred + self.turned + self.amplifier.distortion
        return self.estimator(slots)(at_pilots, spoiled)

    def estimator(self, slots: int) -> Estimator:
        """How the channel is estimated over so many slots; not for perfect knowledge of it."""
        numbers, pilots = self.grid.numerology, self.grid.pilots
        all_times = torch.arange(slots * pilots.slot)
        times = all_times.unflatten(0, (slots, -1))[:, list(pilots.symbols)].flatten()
        tones = numbers.numbers()
        if self.estimation == "ls":
            return LeastSquares(times, tones[:: pilots.every], all_times, tones)
        power = self.kept * self.amplifier.gain**2
        over_time = self.paths.over_time((all_times[:, None] - times) * numbers.period_s) * power
        return Lmmse(Basis.of(over_time, times), self._tones(), power)

    def _tones(self) -> Basis:
        """Of frequency, which is the same for all pictures and takes most of the time."""
        known = (*self.paths.delays_s.tolist(), *self.paths.powers.tolist())
        key = (self.grid.numerology, self.grid.pilots.every, known)
        if key not in _BASES:
            if len(_BASES) >= MOST_BASES:
                _BASES.clear()
            every, tones = self.grid.pilots.every, self.grid.numerology.numbers()
            lags = (tones[:, None] - tones[::every]) * self.grid.numerology.spacing_hz
            places = torch.arange(0, len(tones), every)
            _BASES[key] = Basis.of(self.paths.over_frequency(lags), places)
        return _BASES[key]

    # Its mean powers

    def _powers(self) -> tuple[float, float, float]:
        """What stays on its subcarrier, and what movement and oscillators take from it."""
        numbers, end = self.grid.numerology, self.front_end
        if not (self.paths.doppler_hz or end.turns):
            return 1.0, 0.0, 0.0
        lags = torch.arange(numbers.fft_size, dtype=torch.float64)
        turn = torch.exp(2j * math.pi * end.offset * lags / numbers.fft_size)
        spread = phase_steps(end.linewidth_hz, numbers.rate_hz) ** 2 / 2
        over_time = self.paths.over_time(lags / numbers.rate_hz)
        turn = turn * torch.exp(-spread * lags)
        whole, moved, turned = (
            kept_power(r, numbers.fft_size) for r in (over_time * turn, over_time, turn)
        )
        return whole, 1 - moved, 1 - turned


def _power(h: Tensor) -> Tensor:
    return h.real.square() + h.imag.square()


def _through_three(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights at u of values at -1, 0 and 1: the quadratic through them."""
    return u * (u - 1) / 2, 1 - u * u, u * (u + 1) / 2
