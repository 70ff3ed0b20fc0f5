"""The OFDM grid and its samples."""

import pytest
import torch

import channels
from channels.ofdm import Grid, Numerology, Pilots, demodulate, modulate, to_time

SMALL = Numerology(fft_size=64, subcarriers=48, prefix=9, spacing_hz=15e3)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return channels.complex_normal(shape, dtype=torch.complex128, generator=generator)


def test_samples_are_the_sum_of_the_subcarriers() -> None:
    grid, n = drawn(1, 1, 48), torch.arange(64, dtype=torch.float64)
    expected = sum(
        grid[0, 0, i] * torch.exp(2j * torch.pi * (i - 24) * n / 64) / 8 for i in range(48)
    )
    samples = modulate(grid, SMALL)[0]
    torch.testing.assert_close(samples[9:], expected)
    assert torch.equal(samples[:9], samples[-9:])


def test_demodulate_undoes_modulate() -> None:
    grid = drawn(2, 3, 48)
    samples = modulate(grid, SMALL)
    assert samples.shape == (2, 3 * 73)
    torch.testing.assert_close(demodulate(samples, SMALL), grid)
    torch.testing.assert_close(demodulate(samples[:, :-1], SMALL), grid[:, :2])
    with pytest.raises(ValueError, match="73 samples"):
        demodulate(samples[:, :72], SMALL)


def test_a_prefix_makes_any_delay_within_it_a_phase() -> None:
    grid = drawn(1, 4, 48)
    samples = modulate(grid, SMALL)
    late = torch.cat((samples.new_zeros(1, 9), samples[:, :-9]), dim=1)
    phase = torch.exp(-2j * torch.pi * SMALL.numbers().double() * 9 / 64)
    torch.testing.assert_close(demodulate(late, SMALL), grid * phase)


def test_oversampled_samples_keep_power_and_meet_the_others() -> None:
    grid = drawn(1, 2, 48)
    once, four = to_time(grid, SMALL), to_time(grid, SMALL, 4)
    torch.testing.assert_close(four[..., ::4], once)
    assert four.abs().square().mean().item() == pytest.approx(once.abs().square().mean().item())


def test_the_grid_gives_back_data_and_pilots() -> None:
    grid = Grid()
    assert grid.data_per_slot == 14 * 624 - 2 * 312
    assert grid.overhead == pytest.approx(1096 / 1024 * 14 / 13)
    x = drawn(2, 10_000)
    placed = grid.place(x)
    assert placed.shape == (2, 28, 624)
    assert torch.equal(grid.take(placed, 10_000), x)
    pilots = grid.take_pilots(placed)
    assert pilots.shape == (2, 4, 312)
    torch.testing.assert_close(pilots, grid.sequence(x).repeat(2, 1).expand(2, 4, 312))
    torch.testing.assert_close(pilots.abs(), torch.ones(2, 4, 312, dtype=torch.float64))
    # All that is sent is data or a pilot.
    sent = x.abs().square().sum() + pilots.abs().square().sum()
    assert placed.abs().square().sum().item() == pytest.approx(sent.item())


def test_the_gold_sequence_starts_as_by_its_definition() -> None:
    """x1 of a single one, x2 of c_init = 1, 1,600 bits later, by integers instead of lists."""
    first = second = 1
    for _ in range(1600):
        first |= ((first >> 3 ^ first) & 1) << 31
        second |= ((second >> 3 ^ second >> 2 ^ second >> 1 ^ second) & 1) << 31
        first, second = first >> 1, second >> 1
    bits = [(first >> n ^ second >> n) & 1 for n in range(8)]
    pilots = Grid(Numerology(64, 4, 0), Pilots((0,), 1, 2)).sequence(drawn(1))[0]
    found = torch.stack((pilots.real, pilots.imag), dim=1).flatten() < 0
    assert found.int().tolist() == bits


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Numerology(64, 65), "subcarriers"),
        (lambda: Numerology(64, 48, 65), "prefix"),
        (lambda: Numerology(spacing_hz=0), "spacing"),
        (lambda: Pilots((14,)), "OFDM symbols 0 to 13"),
        (lambda: Pilots(every=0), "every"),
    ],
)
def test_refused(make: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()  # type: ignore[operator]


def test_gradients() -> None:
    small = Grid(Numerology(8, 6, 2), Pilots((1,), 2, 3))
    x = drawn(2, 11).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: modulate(small.place(x), small.numerology), x)
