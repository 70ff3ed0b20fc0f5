"""Features find their positions among the symbols and back; nothing is lost, added or coloured."""

import numpy as np
import pytest
import torch
from torch import Tensor

from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.class_map import with_class_map
from witt.codecs.classified.symbol_mapping import (
    PRECODER_LENGTH,
    from_symbols,
    positions,
    to_symbols,
)

GRID, FEATURES = (6, 8), 10
# None, fewer than a DFT takes, one, no whole number of them, and several.
USES = (1, 7, 16, 45, 100, 160)


def allocation_of(
    uses: tuple[int, ...] = USES, map_uses: int = 0, classes: int = 8
) -> PictureAllocation:
    """As many features at random positions as the symbols take, none expanded."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(uses), *GRID, FEATURES)
    rank = torch.rand(shape, generator=generator).flatten(1).argsort(1).argsort(1).reshape(shape)
    count = torch.tensor(uses)
    sent = rank < 2 * count[:, None, None, None]
    labels = torch.randint(0, classes, shape[:3], generator=generator)
    ones = torch.ones(shape, dtype=torch.float64)
    none = torch.zeros(len(uses), 0)
    at = torch.full_like(count, map_uses), count
    return PictureAllocation(labels, ones, ones * sent, sent, none.long(), none, none.long(), *at)


def send(features: Tensor, allocation: PictureAllocation, length: int) -> Tensor:
    return to_symbols(features, features.new_zeros(len(features), 0, 4), allocation, length)


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def features_of(allocation: PictureAllocation) -> Tensor:
    return normal(*allocation.sent.shape) * allocation.sent


def test_every_number_of_the_symbols_has_one_feature() -> None:
    allocation = allocation_of()
    at, sent = positions(allocation)[0], allocation.sent.flatten(1)
    for i, uses in enumerate(USES):
        assert sorted(at[i][sent[i]].tolist()) == list(range(2 * uses))
        assert bool((at[i][~sent[i]] == 2 * uses).all())


def in_order(allocation: PictureAllocation, values: Tensor) -> list[Tensor]:
    """Of each picture those of the sent features, the first feature of all tokens first."""
    by_feature = zip(values.view(allocation.sent.shape), allocation.sent, strict=True)
    return [each.permute(2, 0, 1)[sent.permute(2, 0, 1)] for each, sent in by_feature]


def test_i_and_q_are_the_same_feature_of_tokens_that_follow_each_other() -> None:
    allocation = allocation_of()
    for at in in_order(allocation, positions(allocation)[0]):
        pairs = at.view(-1, 2)
        assert torch.equal(pairs[:, 1], pairs[:, 0] + 1)
        assert bool((pairs[:, 0] % 2 == 0).all())


@pytest.mark.parametrize("uses", [160, 167])
def test_symbols_are_dealt_to_the_dfts_one_by_one(uses: int) -> None:
    """In 10 DFTs: of any 10 symbols that follow each other one is in each; 7 are left over."""
    allocation = allocation_of((uses,))
    dft = in_order(allocation, positions(allocation)[0])[0][::2] // (2 * PRECODER_LENGTH)
    interleaved = dft[:160]
    assert torch.equal(interleaved, torch.arange(160) % 10)
    assert bool((dft[160:] == 10).all())


def test_all_dfts_have_about_the_same_power() -> None:
    """In order of falling power, two sums differ by less than the first term from the last."""
    allocation = allocation_of((160,))
    power = torch.logspace(0, -2, FEATURES, dtype=torch.float64).expand(allocation.sent.shape)
    row = torch.zeros(321, dtype=torch.float64)
    row[positions(allocation)[0][0]] = (power * allocation.sent)[0].flatten()
    of_dfts = row[:320].view(10, -1).sum(1)
    assert float(of_dfts.max() - of_dfts.min()) <= 2 * (1 - 0.01) + 1e-9


@pytest.mark.parametrize("length", [160, 163, 200])
def test_symbols_are_numpys_fft_of_what_is_dealt(length: int) -> None:
    allocation = allocation_of()
    features = features_of(allocation)
    symbols = torch.view_as_complex(send(features, allocation, length)).numpy()
    for i, uses in enumerate(USES):
        row = np.zeros(2 * length)
        sent = allocation.sent[i].flatten()
        row[positions(allocation)[0][i][sent].numpy()] = features[i].flatten()[sent].numpy()
        interleaved = row[0::2] + 1j * row[1::2]
        whole = uses // PRECODER_LENGTH * PRECODER_LENGTH
        blocks = interleaved[:whole].reshape(-1, PRECODER_LENGTH)
        expected = np.concatenate([np.fft.fft(blocks, norm="ortho").ravel(), interleaved[whole:]])
        np.testing.assert_allclose(symbols[i], expected, atol=1e-13)
        assert not symbols[i, uses:].any()
    energy = (np.abs(symbols) ** 2).sum(1)
    np.testing.assert_allclose(energy, features.square().sum((1, 2, 3)).numpy(), rtol=1e-12)


@pytest.mark.parametrize("uses", [(5,), (16,), USES], ids=str)
def test_what_is_sent_comes_back(uses: tuple[int, ...]) -> None:
    """Also where no picture of the batch fills a DFT."""
    allocation = allocation_of(uses)
    features = features_of(allocation)
    symbols = send(features, allocation, max(uses))
    back, *_ = from_symbols(symbols, torch.zeros(len(uses), max(uses)).double(), allocation)
    torch.testing.assert_close(back, features)


def test_what_else_is_received_is_not_looked_at() -> None:
    """Past the uses of a picture there is noise only, or its class map."""
    allocation = allocation_of()
    features = features_of(allocation)
    symbols = send(features, allocation, 180)
    error = normal(len(USES), 180).square()
    past = torch.arange(180) >= allocation.uses[:, None]
    clean = from_symbols(symbols, error, allocation)
    dirty = from_symbols(symbols + past[..., None] * 7.0, error + past * 7.0, allocation)
    torch.testing.assert_close(dirty[0], clean[0])
    torch.testing.assert_close(dirty[1], clean[1])


def test_features_without_a_place_do_not_get_through() -> None:
    """What the encoder adds to them costs no power and comes back as 0."""
    allocation = allocation_of()
    features = features_of(allocation)
    stray = features + 5.0 * ~allocation.sent
    symbols = send(features, allocation, 160)
    assert torch.equal(send(stray, allocation, 160), symbols)
    back, *_ = from_symbols(symbols, torch.ones(len(USES), 160).double(), allocation)
    assert not back[~allocation.sent].any()


def test_error_is_the_mean_of_a_dft() -> None:
    allocation = allocation_of()
    error = normal(len(USES), 160).square()
    found = from_symbols(torch.zeros(len(USES), 160, 2).double(), error, allocation)[1].flatten(1)
    at = positions(allocation)[0]
    for i, uses in enumerate(USES):
        for position, got in zip(at[i].tolist(), found[i].tolist(), strict=True):
            symbol = position // 2
            first = symbol // PRECODER_LENGTH * PRECODER_LENGTH
            if symbol == uses:
                expected = 1.0
            elif first + PRECODER_LENGTH <= uses:
                expected = float(error[i, first : first + PRECODER_LENGTH].mean())
            else:
                expected = float(error[i, symbol])
            assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("uses", [7, 16, 45])
def test_white_noise_stays_white(uses: int) -> None:
    """From each number of the symbols to the features: an orthogonal matrix."""
    allocation = allocation_of((uses,))
    each = torch.eye(2 * uses, dtype=torch.float64).view(2 * uses, uses, 2)
    many = PictureAllocation(*(x.expand(2 * uses, *x.shape[1:]) for x in allocation))
    features, *_ = from_symbols(each, torch.zeros(2 * uses, uses).double(), many)
    matrix = features.flatten(1)
    eye = torch.eye(2 * uses, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, eye, rtol=0, atol=1e-13)


class TestExpansion:
    """Three features of the first picture have six pairs of more numbers, one of the second one."""

    USES = (49, 34)
    PAIRS = ((1, 2, 2), (1, 0, 0))

    def allocation(self) -> PictureAllocation:
        allocation = allocation_of(
            tuple(n - sum(m) for n, m in zip(self.USES, self.PAIRS, strict=True))
        )
        there = [allocation.sent[i].flatten().nonzero()[:, 0] for i in range(2)]
        none = allocation.sent[0].numel()
        expanded = torch.tensor([there[0][[2, 5, 50]].tolist(), [int(there[1][7]), none, none]])
        pairs = torch.tensor(self.PAIRS)
        return allocation._replace(
            expanded=expanded, expanded_pairs=pairs, uses=torch.tensor(self.USES)
        )

    def extra(self) -> Tensor:
        extra = 10 + normal(2, 3, 4)
        return extra * self.there()

    def there(self) -> Tensor:
        """(2, 3, 4) bool: the numbers of each."""
        return torch.arange(4) < 2 * torch.tensor(self.PAIRS)[..., None]

    def test_every_number_of_the_symbols_is_used_once(self) -> None:
        allocation = self.allocation()
        of_features, of_extra = positions(allocation)
        for i, uses in enumerate(self.USES):
            own = of_features[i][allocation.sent[i].flatten()].tolist()
            there = of_extra[i][self.there()[i]].tolist()
            assert sorted(own + there) == list(range(2 * uses))
            assert bool((of_extra[i][~self.there()[i]] == 2 * uses).all())

    def test_all_come_back_with_the_error_of_their_symbols(self) -> None:
        allocation, features, extra = (
            self.allocation(),
            features_of(self.allocation()),
            self.extra(),
        )
        symbols = to_symbols(features, extra, allocation, 60)
        energy = symbols.square().sum((1, 2))
        expected = features.square().sum((1, 2, 3)) + extra.square().sum((1, 2))
        torch.testing.assert_close(energy, expected)
        back = from_symbols(symbols, torch.full((2, 60), 0.25).double(), allocation)
        torch.testing.assert_close(back.features, features)
        torch.testing.assert_close(back.extra, extra)
        assert torch.equal(back.extra_error, torch.where(self.there(), 0.25, 1.0).double())


class TestMap:
    MAP_USES = 23  # 12 tokens

    def test_signs_are_the_classes_in_their_place(self) -> None:
        allocation = allocation_of(map_uses=self.MAP_USES, classes=16)
        symbols = send(features_of(allocation), allocation, 190)
        found = with_class_map(symbols, allocation)
        for i, uses in enumerate(USES):
            part = found[i, uses : uses + self.MAP_USES]
            labels = allocation.classes[i].flatten().tolist()
            for n, (in_phase, quadrature) in enumerate(part.tolist()):
                two_bits = labels[n // 2] >> 2 * (n % 2)
                assert (in_phase < 0) == bool(two_bits & 1)
                assert (quadrature < 0) == bool(two_bits & 2)

    def test_power_is_that_of_the_others_and_nothing_else_changes(self) -> None:
        allocation = allocation_of(map_uses=self.MAP_USES)
        symbols = send(features_of(allocation), allocation, 190)
        found = with_class_map(symbols, allocation)
        for i, uses in enumerate(USES):
            mean = float(symbols[i, :uses].square().sum() / uses)
            powers = found[i, uses : uses + self.MAP_USES].square().sum(-1)
            torch.testing.assert_close(powers, torch.full_like(powers, mean))
            assert torch.equal(found[i, :uses], symbols[i, :uses])
            assert not found[i, uses + self.MAP_USES :].any()

    def test_without_a_map_nothing_changes(self) -> None:
        allocation = allocation_of()
        symbols = send(features_of(allocation), allocation, 170)
        assert torch.equal(with_class_map(symbols, allocation), symbols)

    def test_a_map_longer_than_its_tokens_starts_again(self) -> None:
        """At a low SNR the code needs more symbols than there are pairs of bits."""
        allocation = allocation_of((20,), map_uses=2 * 48 + 10)
        found = with_class_map(
            send(features_of(allocation), allocation, 20 + 2 * 48 + 10), allocation
        )
        assert torch.equal(found[:, 20 : 20 + 10], found[:, 20 + 96 :])


def test_gradients() -> None:
    """A DFT and some left over."""
    allocation = allocation_of((17,))
    features = normal(*allocation.sent.shape).requires_grad_()
    symbols, error = normal(1, 18, 2).requires_grad_(), normal(1, 18).square().requires_grad_()

    def there(x: Tensor) -> Tensor:
        return send(x, allocation, 18)

    def back(x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        return from_symbols(x, e, allocation)[:2]

    assert torch.autograd.gradcheck(there, features, fast_mode=True)
    assert torch.autograd.gradcheck(back, (symbols, error), fast_mode=True)
