"""Differentiable channel models on complex baseband symbols; knows nothing of images.

x, _ = channels.normalise_power(symbols)             # (B, N), unit mean power per image
out = channels.Rayleigh()(x, snr_db=10.0)            # .y, .h, .noise_var
x_hat, noise_var = channels.mmse(*out)               # perfect CSI
limit = channels.theory.rayleigh_ergodic_capacity(10.0)
"""

from channels import theory
from channels.base import Channel, ChannelOutput, complex_normal
from channels.check import check_channel
from channels.equalise import Equalised, mmse, receive, zero_forcing
from channels.erasure import Erasure
from channels.impairments import FrontEnd
from channels.models import AWGN, Estimated, Rayleigh, Rician
from channels.ofdm import Grid, Numerology, Pilots, ofdm_papr_db
from channels.ofdm_channel import Ofdm
from channels.power import Normalised, normalise_power, papr_db
from channels.tdl import Tdl

__all__ = [
    "AWGN",
    "Channel",
    "ChannelOutput",
    "Equalised",
    "Erasure",
    "Estimated",
    "FrontEnd",
    "Grid",
    "Normalised",
    "Numerology",
    "Ofdm",
    "Pilots",
    "Rayleigh",
    "Rician",
    "Tdl",
    "check_channel",
    "complex_normal",
    "mmse",
    "normalise_power",
    "ofdm_papr_db",
    "papr_db",
    "receive",
    "theory",
    "zero_forcing",
]
