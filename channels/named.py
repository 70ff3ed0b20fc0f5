"""OFDM over the channels of TR 38.901 by name, with settings as a command line has them."""

from __future__ import annotations

from functools import partial

from channels.impairments import FrontEnd
from channels.ofdm import Grid, Numerology, Pilots
from channels.ofdm_channel import Ofdm
from channels.tdl import Flat, Paths, Tdl


def ofdm(
    paths: Paths,
    *,
    estimation: str = "lmmse",
    pilot_spacing: int = 2,
    spacing_khz: float = 15.0,
    prefix: int = 72,
    domain: str = "auto",
    interleave: bool = True,
    offset: float = 0.0,
    sampling_ppm: float = 0.0,
    linewidth_hz: float = 0.0,
    clip_db: float | None = None,
    amplifier: str = "hard",
    tracking: bool = True,
) -> Ofdm:
    """OFDM over paths.

    Args:
        paths: of the channel.
        estimation, domain, interleave: of `Ofdm`.
        pilot_spacing: in subcarriers; 1 has whole symbols of pilots.
        spacing_khz: of the subcarriers, of which there are 624 in an FFT of 1,024.
        prefix: in samples.
        offset, sampling_ppm, linewidth_hz, clip_db, amplifier, tracking: of `FrontEnd`.
    """
    grid = Grid(
        Numerology(prefix=prefix, spacing_hz=spacing_khz * 1e3), Pilots(every=pilot_spacing)
    )
    end = FrontEnd(offset, sampling_ppm, linewidth_hz, clip_db, amplifier, tracking)
    return Ofdm(paths, grid, estimation, end, domain, interleave)


def ofdm_awgn(**settings: object) -> Ofdm:
    """OFDM over one path whose gain is 1; the settings of `ofdm`."""
    return ofdm(Flat(), **settings)  # type: ignore[arg-type]


def ofdm_tdl(
    model: str,
    /,
    delay_spread_ns: float = 100.0,
    speed_kmh: float = 3.0,
    carrier_ghz: float = 3.5,
    **settings: object,
) -> Ofdm:
    """OFDM over a `Tdl`, with the settings of `ofdm`."""
    return ofdm(Tdl(model, delay_spread_ns, speed_kmh, carrier_ghz), **settings)  # type: ignore[arg-type]


def ofdm_cdl(
    model: str,
    /,
    delay_spread_ns: float = 100.0,
    speed_kmh: float = 3.0,
    carrier_ghz: float = 3.5,
    **settings: object,
) -> Ofdm:
    """OFDM over a `Cdl`, with the settings of `ofdm`."""
    from channels.cdl import Cdl

    return ofdm(Cdl(model, delay_spread_ns, speed_kmh, carrier_ghz), **settings)  # type: ignore[arg-type]


ofdm_tdl_a, ofdm_tdl_b, ofdm_tdl_c, ofdm_tdl_d, ofdm_tdl_e = (partial(ofdm_tdl, m) for m in "ABCDE")
ofdm_cdl_a, ofdm_cdl_b, ofdm_cdl_c, ofdm_cdl_d, ofdm_cdl_e = (partial(ofdm_cdl, m) for m in "ABCDE")
