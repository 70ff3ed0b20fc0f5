"""Classified transform coding: its transforms are undone, and what it allocates can be counted."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import channels
import witt.codecs.classified.transform_code
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.class_map import map_rate
from witt.codecs.classified.spectrum import OCTAVES, dct, interpolation_weights
from witt.codecs.classified.symbol_mapping import positions
from witt.codecs.classified.transform_code import SUBSAMPLING, ClassifiedTransformCode

BLOCK, CLASSES, SMOOTH = 2, 3, 2
WHOLE = 3 * BLOCK**2


def orthogonal(n: int, generator: torch.Generator) -> Tensor:
    normal = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(normal).Q


def random_code(channels: int = WHOLE, classes: int = CLASSES) -> ClassifiedTransformCode:
    """A code with nothing at 0 or 1, in float64."""
    generator = torch.Generator().manual_seed(0)
    code = ClassifiedTransformCode(BLOCK, classes, SMOOTH, channels).double()
    own = channels - SMOOTH

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    code.mean.copy_(0.1 * normal(WHOLE))
    code.basis.copy_(orthogonal(WHOLE, generator)[:channels])
    code.rotation.copy_(torch.stack([orthogonal(own, generator) for _ in range(classes)]))
    code.centre.copy_(0.1 * normal(classes, own))
    code.log_variance.copy_(normal(classes, own).sort(dim=1, descending=True).values - 4)
    code.log_rest.copy_(normal(classes) - 6)
    code.log_spectrum.copy_(normal(len(OCTAVES), SMOOTH) - 2)
    code.map_bits.copy_(-torch.log_softmax(normal(classes + 1, classes), 1) / math.log(2))
    return code


def steep_code() -> ClassifiedTransformCode:
    """With two features of each class so strong that they are expanded at some SNRs."""
    code = random_code()
    code.log_variance[:, :2] += 4
    return code


def random_classes(batch: int = 2, height: int = 5, width: int = 7, classes: int = CLASSES):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, classes, (batch, height, width), generator=generator)


@pytest.mark.parametrize("whole", [False, True], ids=["the sent ones", "all"])
@torch.no_grad()
def test_costs_are_those_of_every_coefficient(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent ones cost s·(√v + y²/√v) − s² and bandwidth, others y²; and what none holds, and bits.

    Only those that are sent are rotated, or all, as on a GPU: the same comes out.
    """
    monkeypatch.setattr("torch.compiler.is_exporting", lambda: whole)
    code, snr_db = random_code(), torch.tensor([-5.0, 20.0]).double()
    own = random_features(2, 40, WHOLE - SMOOTH) / 4
    prices = code.allocate_components(
        torch.full((2, CLASSES), 12.0), (4, 9), snr_db, torch.tensor([80, 150])
    )
    root = code.log_variance.exp().sqrt()
    expected = torch.zeros(2, 40, CLASSES).double()
    kinds = set()
    for b in range(2):
        s, bandwidth_price = float(prices.water_level[b]), float(prices.bandwidth_price[b])
        for c in range(CLASSES):
            y = own[b] @ code.rotation[c] - code.centre[c]
            sent = (root[c] - s).clamp_min(0) ** 2 > bandwidth_price
            cost = s * (root[c] + y**2 / root[c]) - s**2 + bandwidth_price
            expected[b, :, c] = torch.where(sent, cost, y**2).sum(-1) + code.log_rest[c].exp()
            kinds.add(int(sent.sum()))
    bit_price = code.bit_price(prices, snr_db, map_rate(snr_db))
    expected += (bit_price * code.map_bits[-1])[:, None]
    assert len(kinds) > 2  # some of each
    assert min(kinds) < WHOLE - SMOOTH
    torch.testing.assert_close(code.costs(own, prices, bit_price), expected)


def random_features(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class TestTransforms:
    def test_synthesis_undoes_analysis(self) -> None:
        code, classes = random_code(), random_classes()
        image = random_features(2, 3, 5 * BLOCK, 7 * BLOCK) + 0.5
        features = code.analyse(code.project(image), classes)
        torch.testing.assert_close(code.synthesise(features, classes), image)

    def test_analysis_undoes_synthesis_of_fewer_features(self) -> None:
        """With less than all of a block, pictures of such features still give them back."""
        code, classes = random_code(channels=8), random_classes()
        features = random_features(2, 5, 7, 8)
        image = code.synthesise(features, classes)
        torch.testing.assert_close(code.analyse(code.project(image), classes), features)

    def test_energy_is_kept(self) -> None:
        """An error of the features is as large in the picture."""
        code, classes = random_code(), random_classes()
        one, other = random_features(2, 5, 7, 2 * WHOLE).chunk(2, dim=-1)
        apart = code.synthesise(one, classes) - code.synthesise(other, classes)
        squares = apart.square().sum((1, 2, 3))
        torch.testing.assert_close(squares, (one - other).square().sum((1, 2, 3)))

    def test_each_token_by_its_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In groups, all at once as for an export, and token by token."""
        code, classes = random_code(), random_classes()
        classes[1] = 2  # two of the classes have no token in a picture
        shared = random_features(2, 5, 7, WHOLE)
        features = code.analyse(shared, classes)
        torch.testing.assert_close(features[..., :SMOOTH], dct(shared[..., :SMOOTH]))
        for token in np.ndindex(*classes.shape):
            c = int(classes[token])
            expected = code.rotation[c].T @ shared[token][SMOOTH:] - code.centre[c]
            torch.testing.assert_close(features[token][SMOOTH:], expected)
        image = code.synthesise(features, classes)
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        torch.testing.assert_close(code.analyse(shared, classes), features)
        torch.testing.assert_close(code.synthesise(features, classes), image)

    def test_picture_by_picture(self) -> None:
        code, classes, features = random_code(), random_classes(), random_features(2, 5, 7, WHOLE)
        image = code.synthesise(features, classes)
        for i in range(2):
            part = slice(i, i + 1)
            torch.testing.assert_close(code.synthesise(features[part], classes[part]), image[part])


class TestAllocation:
    """Pictures of four SNRs, rates and maps; in one there is no token of two of the classes."""

    SNR_DB, K = (6.0, 4.0, 12.0, 19.0), (8, 4, 8, 3)

    def classes(self) -> Tensor:
        classes = random_classes(4, 8, 9)
        classes[1] = 1
        classes[3] = 2 * (classes[3] // 2)
        return classes

    def allocation(
        self, code: ClassifiedTransformCode, part: slice = slice(None)
    ) -> PictureAllocation:
        return code.allocate(
            self.classes()[part], torch.tensor(self.SNR_DB)[part], torch.tensor(self.K)[part]
        )

    def test_features_and_map_fill_the_channel(self) -> None:
        code = steep_code()
        allocation = self.allocation(code)
        more = 2 * allocation.expanded_pairs.sum(1)
        assert (allocation.sent.sum((1, 2, 3)) + more).tolist() == (2 * allocation.uses).tolist()
        assert set(allocation.expanded_pairs.flatten().tolist()) == {0, 1, 2}
        filled = allocation.expanded < allocation.sent[0].numel()
        assert torch.equal(allocation.expanded_pairs > 0, filled)
        assert (allocation.uses + allocation.map_uses).tolist() == [72 * k // 2 for k in self.K]
        bits = code.map_size(self.classes())
        for n, size, snr_db in zip(
            allocation.map_uses.tolist(), bits.tolist(), self.SNR_DB, strict=True
        ):
            assert n == math.ceil(size / math.log2(1 + 10 ** ((snr_db - 4) / 10)))
        assert allocation.map_uses[1] == 0
        assert allocation.map_uses[0] > 0

    def test_mean_power_of_a_symbol_is_one(self) -> None:
        allocation = self.allocation(steep_code())
        linear = (allocation.gain.square() * allocation.variance).flatten(1)
        noise = 10 ** (-torch.tensor(self.SNR_DB) / 10)[:, None] / 2
        for i, expanded in enumerate(allocation.expanded):
            there = expanded[expanded < linear.shape[1]]
            assert bool(allocation.sent[i].flatten()[there].all())
            power = (allocation.expanded_power[i] * noise[i])[: len(there)]
            # What it is as good as takes more power than it has.
            assert bool((linear[i][there] > power).all())
            linear[i, there] = power.double()
        torch.testing.assert_close(linear.sum(1), allocation.uses.double(), rtol=1e-6, atol=0)
        assert bool((allocation.gain[~allocation.sent] == 0).all())

    def test_the_strongest_are_sent(self) -> None:
        """No feature without a position is stronger than one with; the stronger, the more power."""
        allocation = self.allocation(steep_code())
        for i in range(4):
            sent, variance = allocation.sent[i], allocation.variance[i]
            assert variance[sent].min() >= variance[~sent].max()
            power = (allocation.gain[i].square() * variance)[sent][variance[sent].argsort()]
            assert bool((power.diff() >= -1e-6 * power[1:]).all())

    def test_of_the_last_kind_the_first_tokens_are_sent(self) -> None:
        code = random_code()
        allocation = self.allocation(code)
        partial = 0
        for i in range(4):
            for c in range(CLASSES):
                sent = allocation.sent[i][allocation.classes[i] == c][
                    :, SMOOTH:
                ]  # (tokens, own), row by row
                counts = sent.sum(0)
                first = torch.arange(len(sent))[:, None] < counts
                assert torch.equal(sent, first)
                partial += int(((counts > 0) & (counts < len(sent))).sum())
        assert partial > 0

    def test_variances_are_those_of_class_and_frequency(self) -> None:
        code = random_code()
        allocation = self.allocation(code)
        own = code.log_variance.exp()[allocation.classes]
        torch.testing.assert_close(allocation.variance[..., SMOOTH:], own)
        smooth = (interpolation_weights(8, 9, code.log_spectrum) @ code.log_spectrum).exp()
        torch.testing.assert_close(allocation.variance[..., :SMOOTH], smooth.expand(4, -1, -1, -1))

    def test_weights_are_as_variances_to_places_and_power(self) -> None:
        """An error that counts e^w times is worth what a variance e^w times as large is."""
        weighted, larger = steep_code(), steep_code()
        generator = torch.Generator().manual_seed(3)
        for name, of in (("log_weight", "log_variance"), ("log_wave_weight", "log_spectrum")):
            like = getattr(weighted, name)
            weight = torch.randn(like.shape, generator=generator, dtype=torch.float64)
            like.copy_(weight)
            getattr(larger, of).add_(weight)
        allocation, other, plain = (
            self.allocation(code) for code in (weighted, larger, steep_code())
        )
        assert torch.equal(allocation.sent, other.sent)
        assert torch.equal(allocation.expanded, other.expanded)
        torch.testing.assert_close(allocation.expanded_power, other.expanded_power)
        powers = [each.gain.square() * each.variance for each in (allocation, other)]
        torch.testing.assert_close(*powers)
        assert torch.equal(allocation.variance, plain.variance)
        assert not torch.equal(allocation.sent, plain.sent)

    def test_state_without_weights_counts_all_errors_alike(self) -> None:
        code, fresh = random_code(), random_code()
        state = {n: x for n, x in code.state_dict().items() if not n.endswith("weight")}
        fresh.log_weight.fill_(1.0)
        fresh.load_state_dict(state)
        assert not fresh.log_weight.any()
        assert not fresh.log_wave_weight.any()

    def test_the_receiver_finds_the_same_from_the_classes(self) -> None:
        """Whatever else is in the batch."""
        code = steep_code()
        together = self.allocation(code)
        for i in range(4):
            alone = self.allocation(code, slice(i, i + 1))._asdict()
            for name, all_of_them in together._asdict().items():
                one, here = alone[name][0], all_of_them[i]
                assert torch.equal(one, here[: len(one)] if name.startswith("expanded") else here)

    def test_all_features_where_the_channel_has_room(self) -> None:
        code = random_code()
        one_class = torch.ones(1, 3, 4, dtype=torch.int64)
        allocation = code.allocate(one_class, torch.tensor([-10.0]), torch.tensor([WHOLE]))
        assert bool(allocation.sent.all())
        assert sorted(positions(allocation)[0][0].tolist()) == list(range(3 * 4 * WHOLE))


class TestMap:
    def test_size_is_the_sum_of_the_information(self) -> None:
        code, classes = random_code(), random_classes(3)
        classes[1] = 2
        sizes = code.map_size(classes).tolist()
        for found, rows in zip(sizes, classes.tolist(), strict=True):
            bits = 0.0
            for row in rows:
                for left, here in zip([CLASSES, *row], row, strict=False):
                    bits += float(code.map_bits[left, here])
            equivalent = len({c for row in rows for c in row}) == 1
            assert found == (0 if equivalent else math.ceil(bits))
        assert sizes[1] == 0
        assert sizes[0] > 0

    def test_rate_is_shannons_4_db_lower(self) -> None:
        snr_db = np.linspace(-10, 30, 81)
        found = map_rate(torch.from_numpy(snr_db)).numpy()
        np.testing.assert_allclose(found, channels.theory.awgn_capacity(snr_db - 4.0), rtol=1e-12)

    def test_a_fading_channel_could_carry_it_too(self) -> None:
        """With 1.4 dB to spare at every SNR: fading costs e^0.5772, 2.51 dB, and less below."""
        snr_db = np.linspace(-10, 30, 81)
        limit = channels.theory.rayleigh_ergodic_capacity(snr_db - 1.4)
        assert bool((map_rate(torch.from_numpy(snr_db)).numpy() < limit).all())


class TestClassify:
    """Tokens of two Gaussian classes: one's strong coefficients are the other's weak ones."""

    OWN = WHOLE - SMOOTH

    def code(self) -> ClassifiedTransformCode:
        code = random_code(classes=2)
        falling = torch.linspace(-2.0, -9.0, self.OWN, dtype=torch.float64)
        code.log_variance.copy_(falling.expand(2, -1))
        code.rotation[1] = code.rotation[0].flip(1)
        code.map_bits.fill_(1.0)
        return code

    def tokens(self, code: ClassifiedTransformCode, classes: Tensor) -> Tensor:
        """(B, h, w, C) shared coefficients of tokens of these classes."""
        deviation = code.log_variance.exp().sqrt()[classes]
        own = random_features(*classes.shape, self.OWN) * deviation + code.centre[classes]
        own = torch.einsum("bhwij,bhwj->bhwi", code.rotation[classes], own)
        return torch.cat((random_features(*classes.shape, SMOOTH), own), dim=-1)

    def test_tokens_find_their_class(self) -> None:
        code, truth = self.code(), random_classes(3, 16, 16, classes=2)
        truth[2] = 1  # where one class has all tokens, none go to the other
        at = torch.tensor([5.0, 15.0, 10.0]), torch.tensor([4, 6, 4])
        found = code.classify(self.tokens(code, truth), *at)
        right = (found == truth).double().mean((1, 2))
        assert bool((right > 0.97).all()), right

    def test_where_the_device_has_no_float64(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on Apple's GPUs: elsewhere, with the same result."""
        code = self.code().float()
        image, at = torch.rand(2, 3, 12, 10), (torch.tensor([5.0, 15.0]), torch.tensor([4, 6]))
        here = code.tokens(image, *at), code.allocate(code.tokens(image, *at).classes, *at)
        elsewhere = []
        monkeypatch.setattr(witt.codecs.classified.transform_code, "WITHOUT_FLOAT64", ("cpu",))
        monkeypatch.setattr(
            ClassifiedTransformCode, "cpu", lambda code: elsewhere.append(code) or code
        )
        there = code.tokens(image, *at), code.allocate(here[0].classes, *at)
        assert len(elsewhere) == 2
        assert all(each is not code for each in elsewhere)
        for a, b in zip((*here[0], *here[1]), (*there[0], *there[1]), strict=True):
            assert torch.equal(a, b)

    def test_picture_by_picture(self) -> None:
        code, truth = self.code(), random_classes(3, 16, 16, classes=2)
        shared = self.tokens(code, truth)
        snr_db, k = torch.tensor([0.0, 15.0, -10.0]), torch.tensor([4, 6, 2])
        together = code.classify(shared, snr_db, k)
        for i in range(3):
            part = slice(i, i + 1)
            assert torch.equal(code.classify(shared[part], snr_db[part], k[part]), together[part])

    def test_one_class_where_the_map_would_take_half_of_the_channel(self) -> None:
        """A bit a token at −10 dB is 18 channel uses; at 30 dB an eighth of one."""
        code = self.code()
        truth = torch.ones(2, 16, 16, dtype=torch.int64)
        truth[:, :, :6] = 0  # 6 of 16 columns: the other class is what most have
        at = torch.tensor([-10.0, 30.0]), torch.tensor([2, 2])
        shared = self.tokens(code, truth)
        found = code.classify(shared, *at)
        assert bool((found[0] == 1).all())
        assert 0 < float((found[1] == 0).double().mean()) < 0.5
        allocation = code.allocate(found, *at)
        assert allocation.map_uses[0] == 0
        assert 0 < allocation.map_uses[1] <= allocation.uses[1]

    def test_the_map_takes_half_at_most(self) -> None:
        """Just around the limit, in steps of 1 dB: at most half, and more than a quarter once."""
        code, truth = self.code(), random_classes(1, 16, 16, classes=2).expand(24, -1, -1)
        at = torch.arange(-4.0, 20.0), torch.full((24,), 2)
        allocation = code.allocate(code.classify(self.tokens(code, truth), *at), *at)
        share = allocation.map_uses / (allocation.map_uses + allocation.uses)
        assert float(share.max()) <= 0.5
        assert float(share.max()) > 0.4
        assert float(share.min()) == 0

    def test_a_sample_of_the_tokens_is_enough(self) -> None:
        """Few tokens, fewer than one looked at in `SUBSAMPLING`, are served too."""
        code = self.code()
        truth = torch.zeros(1, 1, SUBSAMPLING - 1, dtype=torch.int64)
        found = code.classify(self.tokens(code, truth), torch.tensor([10.0]), torch.tensor([6]))
        assert found.shape == (1, 1, SUBSAMPLING - 1)
