"""Clustered delay lines CDL-A to CDL-E of 3GPP TR 38.901, drawn by Sionna 1.2.

One antenna that hears all directions alike at each end, both vertical. The only file of this
package that imports Sionna and TensorFlow; gains come out as tensors of PyTorch, which carries
the gradient to the symbols.

Source: 3GPP TR 38.901, tables 7.7.1-1 to 7.7.1-5; Hoydis et al., "Sionna: an open-source library
for next-generation physical layer research", arXiv 2203.11854.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from channels.tdl import PROFILES, Paths, check_settings, doppler_hz

LARGEST_SEED = 2**31 - 1


class Cdl(Paths):
    """A clustered delay line of TR 38.901.

    The Doppler frequency of each cluster follows from its angles of arrival and a direction of
    movement drawn for each image. What a receiver is told of the channel (`over_time`) is Jakes'
    spectrum, so its LMMSE estimate is not the best that there is.

    Args:
        model, delay_spread_ns, speed_kmh, carrier_ghz: as of `channels.tdl.Tdl`.

    Raises:
        ValueError: as of `Tdl`, or Sionna is not installed.
    """

    def __init__(
        self,
        model: str,
        delay_spread_ns: float = 100.0,
        speed_kmh: float = 3.0,
        carrier_ghz: float = 3.5,
    ) -> None:
        check_settings(model, delay_spread_ns, speed_kmh, carrier_ghz)
        self._phy, tr38901 = _libraries()
        hertz = carrier_ghz * 1e9
        antenna = tr38901.Antenna("single", "V", "omni", hertz)
        self._draw = tr38901.CDL(
            model,
            delay_spread_ns * 1e-9,
            hertz,
            antenna,
            antenna,
            "downlink",
            min_speed=speed_kmh / 3.6,
        )
        powers = torch.from_numpy(self._draw.powers.numpy()).double()
        delays = torch.from_numpy(self._draw.delays.numpy()).double()
        order = delays.argsort(stable=True)  # in which it draws them, not that of the table
        sight = 10 ** (PROFILES[model].line_of_sight_db / 10)
        super().__init__(delays[order], powers[order], sight, doppler_hz(speed_kmh, carrier_ghz))

    def gains(
        self,
        batch: int,
        times: int,
        step_s: float,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """See `Paths.gains`; Sionna's random numbers follow from one of the generator."""
        source = generator.device if generator is not None else device
        seed = torch.randint(LARGEST_SEED, (1,), generator=generator, device=source)
        rng = self._phy.config.tf_rng
        before = rng.state.numpy()
        rng.reset_from_seed(int(seed))
        try:
            taps, _ = self._draw(batch, times, 1 / step_s)
        finally:
            rng.reset(before)
        gains = torch.from_numpy(taps.numpy()[:, 0, 0, 0, 0]).mT
        return gains.to(device=device or source, dtype=dtype)


def _libraries() -> tuple[Any, Any]:
    """sionna.phy, and its channels of TR 38.901."""
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from sionna import phy
        from sionna.phy.channel import tr38901
    except ImportError as error:
        raise ValueError(
            "CDL channels are drawn by Sionna 1.2 with TensorFlow: pip install 'witt[baselines]', "
            f"or take a TDL ({error})"
        ) from error
    return phy, tr38901
