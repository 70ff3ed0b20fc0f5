"""Features find their places among the symbols and back; nothing is lost, added or coloured."""

import numpy as np
import pytest
import torch
from torch import Tensor

from witt.codecs.classified.code import Plan
from witt.codecs.classified.framing import SPREAD, from_symbols, places, to_symbols, with_map

GRID, FEATURES = (6, 8), 10
# None, fewer than a DFT takes, one, no whole number of them, and several.
USES = (1, 7, 16, 45, 100, 160)


def plan_of(uses: tuple[int, ...] = USES, map_uses: int = 0, classes: int = 8) -> Plan:
    """A plan with as many features at random places as the symbols take, none on a helix."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(uses), *GRID, FEATURES)
    rank = torch.rand(shape, generator=generator).flatten(1).argsort(1).argsort(1).reshape(shape)
    count = torch.tensor(uses)
    sent = rank < 2 * count[:, None, None, None]
    labels = torch.randint(0, classes, shape[:3], generator=generator)
    ones = torch.ones(shape, dtype=torch.float64)
    none = torch.zeros(len(uses), 0)
    at = torch.full_like(count, map_uses), count
    return Plan(labels, ones, ones * sent, sent, none.long(), none, none.long(), *at)


def send(features: Tensor, plan: Plan, length: int) -> Tensor:
    return to_symbols(features, features.new_zeros(len(features), 0, 4), plan, length)


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def features_of(plan: Plan) -> Tensor:
    return normal(*plan.sent.shape) * plan.sent


def test_every_number_of_the_symbols_has_one_feature() -> None:
    plan = plan_of()
    at, sent = places(plan)[0], plan.sent.flatten(1)
    for i, uses in enumerate(USES):
        assert sorted(at[i][sent[i]].tolist()) == list(range(2 * uses))
        assert bool((at[i][~sent[i]] == 2 * uses).all())


def in_order(plan: Plan, values: Tensor) -> list[Tensor]:
    """Of each picture those of the sent features, the first feature of all tokens first."""
    by_feature = zip(values.view(plan.sent.shape), plan.sent, strict=True)
    return [each.permute(2, 0, 1)[sent.permute(2, 0, 1)] for each, sent in by_feature]


def test_i_and_q_are_the_same_feature_of_tokens_that_follow_each_other() -> None:
    plan = plan_of()
    for at in in_order(plan, places(plan)[0]):
        pairs = at.view(-1, 2)
        assert torch.equal(pairs[:, 1], pairs[:, 0] + 1)
        assert bool((pairs[:, 0] % 2 == 0).all())


@pytest.mark.parametrize("uses", [160, 167])
def test_symbols_are_dealt_to_the_dfts_one_by_one(uses: int) -> None:
    """In 10 DFTs: of any 10 symbols that follow each other one is in each; 7 are left over."""
    plan = plan_of((uses,))
    dft = in_order(plan, places(plan)[0])[0][::2] // (2 * SPREAD)
    dealt = dft[:160]
    assert torch.equal(dealt, torch.arange(160) % 10)
    assert bool((dft[160:] == 10).all())


def test_all_dfts_have_about_the_same_power() -> None:
    """Dealt in order of falling power, two sums differ by less than the first from the last."""
    plan = plan_of((160,))
    power = torch.logspace(0, -2, FEATURES, dtype=torch.float64).expand(plan.sent.shape)
    row = torch.zeros(321, dtype=torch.float64)
    row[places(plan)[0][0]] = (power * plan.sent)[0].flatten()
    of_dfts = row[:320].view(10, -1).sum(1)
    assert float(of_dfts.max() - of_dfts.min()) <= 2 * (1 - 0.01) + 1e-9


@pytest.mark.parametrize("length", [160, 163, 200])
def test_symbols_are_numpys_fft_of_what_is_dealt(length: int) -> None:
    plan = plan_of()
    features = features_of(plan)
    symbols = torch.view_as_complex(send(features, plan, length)).numpy()
    for i, uses in enumerate(USES):
        row = np.zeros(2 * length)
        sent = plan.sent[i].flatten()
        row[places(plan)[0][i][sent].numpy()] = features[i].flatten()[sent].numpy()
        dealt = row[0::2] + 1j * row[1::2]
        whole = uses // SPREAD * SPREAD
        blocks = dealt[:whole].reshape(-1, SPREAD)
        expected = np.concatenate([np.fft.fft(blocks, norm="ortho").ravel(), dealt[whole:]])
        np.testing.assert_allclose(symbols[i], expected, atol=1e-13)
        assert not symbols[i, uses:].any()
    energy = (np.abs(symbols) ** 2).sum(1)
    np.testing.assert_allclose(energy, features.square().sum((1, 2, 3)).numpy(), rtol=1e-12)


@pytest.mark.parametrize("uses", [(5,), (16,), USES], ids=str)
def test_what_is_sent_comes_back(uses: tuple[int, ...]) -> None:
    """Also where no picture of the batch fills a DFT."""
    plan = plan_of(uses)
    features = features_of(plan)
    symbols = send(features, plan, max(uses))
    back, *_ = from_symbols(symbols, torch.zeros(len(uses), max(uses)).double(), plan)
    torch.testing.assert_close(back, features)


def test_what_else_is_received_is_not_looked_at() -> None:
    """Past the uses of a picture there is noise only, or its class map."""
    plan = plan_of()
    features = features_of(plan)
    symbols = send(features, plan, 180)
    error = normal(len(USES), 180).square()
    past = torch.arange(180) >= plan.uses[:, None]
    clean = from_symbols(symbols, error, plan)
    dirty = from_symbols(symbols + past[..., None] * 7.0, error + past * 7.0, plan)
    torch.testing.assert_close(dirty[0], clean[0])
    torch.testing.assert_close(dirty[1], clean[1])


def test_features_without_a_place_do_not_get_through() -> None:
    """What the encoder adds to them costs no power and comes back as 0."""
    plan = plan_of()
    features = features_of(plan)
    stray = features + 5.0 * ~plan.sent
    symbols = send(features, plan, 160)
    assert torch.equal(send(stray, plan, 160), symbols)
    back, *_ = from_symbols(symbols, torch.ones(len(USES), 160).double(), plan)
    assert not back[~plan.sent].any()


def test_error_is_the_mean_of_a_dft() -> None:
    plan = plan_of()
    error = normal(len(USES), 160).square()
    found = from_symbols(torch.zeros(len(USES), 160, 2).double(), error, plan)[1].flatten(1)
    at = places(plan)[0]
    for i, uses in enumerate(USES):
        for place, got in zip(at[i].tolist(), found[i].tolist(), strict=True):
            symbol = place // 2
            first = symbol // SPREAD * SPREAD
            if symbol == uses:
                expected = 1.0
            elif first + SPREAD <= uses:
                expected = float(error[i, first : first + SPREAD].mean())
            else:
                expected = float(error[i, symbol])
            assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("uses", [7, 16, 45])
def test_white_noise_stays_white(uses: int) -> None:
    """From each number of the symbols to the features: an orthogonal matrix."""
    plan = plan_of((uses,))
    each = torch.eye(2 * uses, dtype=torch.float64).view(2 * uses, uses, 2)
    many = Plan(*(x.expand(2 * uses, *x.shape[1:]) for x in plan))
    features, *_ = from_symbols(each, torch.zeros(2 * uses, uses).double(), many)
    matrix = features.flatten(1)
    eye = torch.eye(2 * uses, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, eye, rtol=0, atol=1e-13)


class TestHelix:
    """Three features of the first picture have six pairs of more numbers, one of the second one."""

    USES = (49, 34)
    CIRCLES = ((1, 2, 2), (1, 0, 0))

    def plan(self) -> Plan:
        plan = plan_of(tuple(n - sum(m) for n, m in zip(self.USES, self.CIRCLES, strict=True)))
        there = [plan.sent[i].flatten().nonzero()[:, 0] for i in range(2)]
        none = plan.sent[0].numel()
        wound = torch.tensor([there[0][[2, 5, 50]].tolist(), [int(there[1][7]), none, none]])
        circles = torch.tensor(self.CIRCLES)
        return plan._replace(wound=wound, wound_circles=circles, uses=torch.tensor(self.USES))

    def more(self) -> Tensor:
        more = 10 + normal(2, 3, 4)
        return more * self.there()

    def there(self) -> Tensor:
        """(2, 3, 4) bool: the numbers of each."""
        return torch.arange(4) < 2 * torch.tensor(self.CIRCLES)[..., None]

    def test_every_number_of_the_symbols_is_used_once(self) -> None:
        plan = self.plan()
        of_features, of_more = places(plan)
        for i, uses in enumerate(self.USES):
            own = of_features[i][plan.sent[i].flatten()].tolist()
            there = of_more[i][self.there()[i]].tolist()
            assert sorted(own + there) == list(range(2 * uses))
            assert bool((of_more[i][~self.there()[i]] == 2 * uses).all())

    def test_all_come_back_with_the_error_of_their_symbols(self) -> None:
        plan, features, more = self.plan(), features_of(self.plan()), self.more()
        symbols = to_symbols(features, more, plan, 60)
        energy = symbols.square().sum((1, 2))
        expected = features.square().sum((1, 2, 3)) + more.square().sum((1, 2))
        torch.testing.assert_close(energy, expected)
        back = from_symbols(symbols, torch.full((2, 60), 0.25).double(), plan)
        torch.testing.assert_close(back.features, features)
        torch.testing.assert_close(back.more, more)
        assert torch.equal(back.more_error, torch.where(self.there(), 0.25, 1.0).double())


class TestMap:
    MAP_USES = 23  # 12 tokens

    def test_signs_are_the_classes_in_their_place(self) -> None:
        plan = plan_of(map_uses=self.MAP_USES, classes=16)
        symbols = send(features_of(plan), plan, 190)
        found = with_map(symbols, plan)
        for i, uses in enumerate(USES):
            part = found[i, uses : uses + self.MAP_USES]
            labels = plan.classes[i].flatten().tolist()
            for n, (in_phase, quadrature) in enumerate(part.tolist()):
                two_bits = labels[n // 2] >> 2 * (n % 2)
                assert (in_phase < 0) == bool(two_bits & 1)
                assert (quadrature < 0) == bool(two_bits & 2)

    def test_power_is_that_of_the_others_and_nothing_else_changes(self) -> None:
        plan = plan_of(map_uses=self.MAP_USES)
        symbols = send(features_of(plan), plan, 190)
        found = with_map(symbols, plan)
        for i, uses in enumerate(USES):
            mean = float(symbols[i, :uses].square().sum() / uses)
            powers = found[i, uses : uses + self.MAP_USES].square().sum(-1)
            torch.testing.assert_close(powers, torch.full_like(powers, mean))
            assert torch.equal(found[i, :uses], symbols[i, :uses])
            assert not found[i, uses + self.MAP_USES :].any()

    def test_without_a_map_nothing_changes(self) -> None:
        plan = plan_of()
        symbols = send(features_of(plan), plan, 170)
        assert torch.equal(with_map(symbols, plan), symbols)

    def test_a_map_longer_than_its_tokens_starts_again(self) -> None:
        """At a low SNR the code needs more symbols than there are pairs of bits."""
        plan = plan_of((20,), map_uses=2 * 48 + 10)
        found = with_map(send(features_of(plan), plan, 20 + 2 * 48 + 10), plan)
        assert torch.equal(found[:, 20 : 20 + 10], found[:, 20 + 96 :])


def test_gradients() -> None:
    """A DFT and some left over."""
    plan = plan_of((17,))
    features = normal(*plan.sent.shape).requires_grad_()
    symbols, error = normal(1, 18, 2).requires_grad_(), normal(1, 18).square().requires_grad_()

    def there(x: Tensor) -> Tensor:
        return send(x, plan, 18)

    def back(x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        return from_symbols(x, e, plan)[:2]

    assert torch.autograd.gradcheck(there, features, fast_mode=True)
    assert torch.autograd.gradcheck(back, (symbols, error), fast_mode=True)
