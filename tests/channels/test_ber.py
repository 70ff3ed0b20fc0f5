"""Modem error rates over the channels against theory, within 4 sigma of the counts."""

import math

import pytest
import torch
from torch import Tensor

import channels
from channels import theory

N = 400_000


def send(channel: channels.Channel, x: Tensor, snr_db: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return channels.zero_forcing(*channel(x, snr_db, generator=generator)).x_hat


def bits(*shape: int) -> Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(99))


def bpsk_errors(channel: channels.Channel, snr_db: float) -> float:
    sent = bits(1, N)
    received = send(channel, (1 - 2 * sent).to(torch.complex64), snr_db, seed=1).real < 0
    return (received != sent.bool()).double().mean().item()


def qpsk_errors(channel: channels.Channel, snr_db: float) -> float:
    sent = bits(1, N, 2)
    x = torch.view_as_complex((1 - 2 * sent).float() * math.sqrt(0.5))
    received = torch.view_as_real(send(channel, x, snr_db, seed=2)) < 0
    return (received != sent.bool()).double().mean().item()


def within_4_sigma(measured: float, ber: float, independent: int) -> bool:
    return abs(measured - ber) < 4 * math.sqrt(ber * (1 - ber) / independent)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 4.0, 8.0, 10.0])
def test_qpsk_over_awgn(snr_db: float) -> None:
    expected = float(theory.qpsk_ber_awgn(snr_db))
    assert within_4_sigma(qpsk_errors(channels.AWGN(), snr_db), expected, 2 * N)


@pytest.mark.parametrize("snr_db", [-3.0, 2.0, 6.0])
def test_bpsk_over_awgn(snr_db: float) -> None:
    expected = float(theory.bpsk_ber_awgn(snr_db))
    assert within_4_sigma(bpsk_errors(channels.AWGN(), snr_db), expected, N)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 20.0])
def test_bpsk_over_fast_rayleigh(snr_db: float) -> None:
    expected = float(theory.bpsk_ber_rayleigh(snr_db))
    assert within_4_sigma(bpsk_errors(channels.Rayleigh(), snr_db), expected, N)


def test_bpsk_over_block_rayleigh_has_the_same_mean() -> None:
    # Errors within a block are correlated; at worst each block of 4 counts once.
    expected = float(theory.bpsk_ber_rayleigh(10.0))
    assert within_4_sigma(bpsk_errors(channels.Rayleigh(4), 10.0), expected, N // 4)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_qpsk_over_fast_rayleigh(snr_db: float) -> None:
    # The two bits of a symbol share a fade, so only the symbols are sure to be independent.
    expected = float(theory.qpsk_ber_rayleigh(snr_db))
    assert within_4_sigma(qpsk_errors(channels.Rayleigh(), snr_db), expected, N)


def test_bpsk_over_rician_lies_between_rayleigh_and_awgn() -> None:
    rician = bpsk_errors(channels.Rician(6.0), 6.0)
    sigma = math.sqrt(rician * (1 - rician) / N)
    assert rician + 4 * sigma < float(theory.bpsk_ber_rayleigh(6.0))
    assert rician - 4 * sigma > float(theory.bpsk_ber_awgn(6.0))
