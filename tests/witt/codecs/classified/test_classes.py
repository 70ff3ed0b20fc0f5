"""The code of classes learns the textures of its pictures, and then does what is predicted."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import channels
import witt
from witt.codecs.classified import classes as training_classes
from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import allocate
from witt.codecs.classified.classes import start_classes
from witt.codecs.classified.spectrum import OCTAVES, interpolation_weights, inverse_dct
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.errors import InputError
from witt.training.objective import Conditions, send
from witt.training.pictures import Pictures

BLOCK, CHANNELS, SMOOTH = 4, 12, 2
WHOLE = 3 * BLOCK**2
GREY = 1 / math.sqrt(WHOLE)
USUAL_CBR = 1 / 12  # 8 of a token's features
# Of the 12 components of a flat token and of a busy one, each in directions of its own.
FLAT = 1e-3 * 0.6 ** torch.arange(CHANNELS, dtype=torch.float64)
BUSY = 3e-2 * 0.75 ** torch.arange(CHANNELS, dtype=torch.float64)
LEVEL = 0.1  # variance of what is alike in all tokens, in two directions: the smooth features
REST = 2e-5  # and of what is left of a pixel


class Textures(NamedTuple):
    """Pictures of known tokens.

    image: (B, 3, H, W), unclipped.
    busy: (B, h, w) bool, which of the two kinds a token is.
    """

    image: Tensor
    busy: Tensor


def directions() -> Tensor:
    """(14, 48) orthonormal; the first of them grey."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(WHOLE, CHANNELS + SMOOTH, generator=generator, dtype=torch.float64)
    vectors[:, 0] = 1
    return torch.linalg.qr(vectors).Q.T


def textures(seed: int, count: int = 60, side: int = 16, share: float = 0.35) -> Textures:
    """Pictures of `side` tokens each way, a part of their rows busy."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    grid = (count, side, side)
    busy = (torch.rand(count, side, 1, generator=generator) < share).expand(grid)
    turn = torch.linalg.qr(normal_of(99, CHANNELS, CHANNELS)).Q
    flat, lively = normal(*grid, CHANNELS) * FLAT.sqrt(), normal(*grid, CHANNELS) * BUSY.sqrt()
    own = torch.where(busy[..., None], lively @ turn, flat)
    both = torch.cat((LEVEL**0.5 / 2 * normal(*grid, SMOOTH), own), dim=-1)
    blocks = both @ directions() + REST**0.5 * normal(*grid, WHOLE)
    return Textures(F.pixel_shuffle(blocks.permute(0, 3, 1, 2), BLOCK) + 0.5, busy)


def normal_of(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def pictures_of(image: Tensor) -> Pictures:
    pixels = (255 * image).round()
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    return Pictures([], pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy())


def fitted(pictures: Pictures, seed: int = 0) -> ClassifiedTransformCode:
    code = ClassifiedTransformCode(BLOCK, 2, SMOOTH, CHANNELS + SMOOTH)
    start_classes(code, pictures, USUAL_CBR, seed)
    return code


@pytest.fixture
def _all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The few tokens of these pictures are all looked at."""
    monkeypatch.setattr(training_classes, "TOKENS", training_classes.PIXELS // BLOCK**2)


@pytest.fixture(scope="module")
def code() -> ClassifiedTransformCode:
    """Fitted to textures of seed 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_classes, "TOKENS", training_classes.PIXELS // BLOCK**2)
        return fitted(pictures_of(textures(1).image))


def at_usual(count: int) -> tuple[Tensor, Tensor]:
    return torch.full((count,), 10.0), torch.full((count,), 8)


class TestFit:
    def test_transforms_are_orthonormal(self, code: ClassifiedTransformCode) -> None:
        eye = torch.eye(CHANNELS + SMOOTH)
        torch.testing.assert_close(code.basis @ code.basis.T, eye, rtol=0, atol=1e-5)
        for rotation in code.rotation:
            own = torch.eye(CHANNELS)
            torch.testing.assert_close(rotation.T @ rotation, own, rtol=0, atol=1e-5)

    def test_the_basis_holds_all_but_the_rest(self, code: ClassifiedTransformCode) -> None:
        """The 14 directions of which the pictures are made; the smooth ones are the strongest."""
        made = directions().float()
        cosines = torch.linalg.svdvals(made @ code.basis.T)
        assert float(cosines.min()) > 0.99
        smooth = torch.linalg.svdvals(made[:SMOOTH] @ code.basis[:SMOOTH].T)
        assert float(smooth.min()) > 0.95

    def test_the_two_kinds_are_told_apart(self, code: ClassifiedTransformCode) -> None:
        """Pictures that were not looked at; the class of more energy comes last."""
        held_out = textures(2, count=20)
        found = code.classify(code.project(held_out.image.float()), *at_usual(20))
        assert float((found == held_out.busy).double().mean()) > 0.98

    def test_variances_are_those_of_other_pictures(self, code: ClassifiedTransformCode) -> None:
        """Within 4 σ of two estimates, of 15,360 tokens and as many others; descending."""
        assert bool((code.log_variance.diff(dim=1) <= 0).all())
        held_out = textures(3)
        shared = code.project(held_out.image.float())
        found = code.classify(shared, *at_usual(60))
        features = code.analyse(shared, found)[..., SMOOTH:]
        for c in range(2):
            mine = features[found == c]
            ratio = mine.square().mean(0) / code.log_variance[c].exp()
            # A few tokens at the border of the classes change the tails of both.
            tolerance = 4 * math.sqrt(2 * 2 / len(mine)) + 0.02
            assert bool(((ratio - 1).abs() < tolerance).all()), (c, ratio)
            assert float(mine.mean(0).abs().max()) < 4 * 1.5 * float(mine.std()) / len(mine) ** 0.5

    def test_variances_are_those_that_the_pictures_were_made_with(
        self, code: ClassifiedTransformCode
    ) -> None:
        """Busy tokens have `BUSY` in orthonormal directions, the rest of a pixel, its rounding."""
        expected = BUSY + REST + 1 / 12 / 255**2
        ratio = code.log_variance[1].exp() / expected
        busy = float(textures(1).busy.sum())
        assert bool(((ratio - 1).abs() < 5 * math.sqrt(2 / busy) + 0.03).all()), ratio

    def test_what_no_feature_holds_is_known(self, code: ClassifiedTransformCode) -> None:
        expected = (WHOLE - CHANNELS - SMOOTH) * (REST + 1 / 12 / 255**2)
        for log_rest in code.log_rest.tolist():
            assert math.exp(log_rest) == pytest.approx(expected, rel=0.05)

    def test_the_map_knows_that_neighbours_are_alike(self, code: ClassifiedTransformCode) -> None:
        """A row is of one kind: a class costs little after itself, and its share at the start."""
        chances = 2.0**-code.map_bits
        torch.testing.assert_close(chances.sum(1), torch.ones(3))
        busy = float(textures(1).busy.double().mean())
        assert float(chances[2, 1]) == pytest.approx(busy, abs=0.01)
        assert float(chances[0, 0]) > 0.97
        assert float(chances[1, 1]) > 0.97


class TestSeed:
    """With a part of the tokens only, so that there is a choice."""

    def fit(self, monkeypatch: pytest.MonkeyPatch, seed: int) -> ClassifiedTransformCode:
        tokens = training_classes.PIXELS // BLOCK**2 // 2
        monkeypatch.setattr(training_classes, "TOKENS", tokens)
        return fitted(pictures_of(textures(1, count=30).image), seed)

    def test_the_same_gives_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one, again = self.fit(monkeypatch, 5), self.fit(monkeypatch, 5)
        for name, value in one.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name

    def test_another_gives_nearly_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = self.fit(monkeypatch, 5), self.fit(monkeypatch, 6)
        assert not torch.equal(one.log_variance, other.log_variance)
        # About 1,300 busy tokens each: 4 σ of the difference of two logarithms of a variance.
        torch.testing.assert_close(one.log_variance, other.log_variance, rtol=0, atol=0.25)
        torch.testing.assert_close(one.log_spectrum, other.log_spectrum, rtol=0, atol=0.05)


class TestUnreadable:
    def folder(self, tmp_path: Path, spoilt: set[int]) -> Pictures:
        """Five pictures of which some are damaged after they were found."""
        rng = np.random.default_rng(0)
        paths = [tmp_path / f"{i}.png" for i in range(5)]
        for path in paths:
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        pictures = Pictures(paths, cache_bytes=0)
        for i in spoilt:
            paths[i].write_bytes(b"not a picture")
        return pictures

    @pytest.mark.usefixtures("_all_tokens")
    def test_they_are_left_out(self, tmp_path: Path) -> None:
        pictures = self.folder(tmp_path, spoilt={0, 3})
        found = fitted(pictures)
        good = np.stack([pictures[i] for i in (1, 2, 4)])
        rows = F.pixel_unshuffle(torch.from_numpy(good).permute(0, 3, 1, 2) / 255 - 0.5, BLOCK)
        mean = rows.permute(0, 2, 3, 1).reshape(-1, WHOLE).mean(0)
        torch.testing.assert_close(found.mean, mean, rtol=0, atol=1e-6)
        for name, value in found.state_dict().items():
            assert bool(value.isfinite().all()), name

    def test_none_at_all_is_an_error(self, tmp_path: Path) -> None:
        pictures = self.folder(tmp_path, spoilt=set(range(5)))
        with pytest.raises(InputError, match="none of the training pictures can be read"):
            fitted(pictures)


@pytest.mark.usefixtures("_all_tokens")
def test_pictures_smaller_than_a_block_are_mirrored() -> None:
    tiles = np.random.default_rng(2).integers(0, 256, (12, 2, 4, 3), dtype=np.uint8)
    mean = fitted(Pictures([], tiles)).mean.reshape(3, BLOCK, BLOCK)
    torch.testing.assert_close(mean[:, 2:], mean[:, :2].flip(1))


@pytest.mark.usefixtures("_all_tokens")
@pytest.mark.parametrize("slope", [0.0, -2.0])
def test_spectrum_is_that_of_the_pictures(slope: float) -> None:
    """Grey fields of blocks with a power law over the frequency, each block of one level."""
    count, side = 60, 16
    log = slope * np.log(2) * torch.tensor(OCTAVES, dtype=torch.float64)
    weights = interpolation_weights(side, side, log)
    power = torch.exp(weights @ log)
    power = power / power.mean()
    spectra = normal_of(3, count, side, side, 1)
    spectra[:, 0, 0] = spectra[:, 0, 0].abs()  # the mean of all blocks is taken away in any case
    spectra[::2, 0, 0] *= -1
    fields = 20 / 255 * inverse_dct(spectra * power.sqrt()[..., None])
    image = fields.permute(0, 3, 1, 2).repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    found = fitted(pictures_of(image.expand(-1, 3, -1, -1) + 0.5))
    torch.testing.assert_close(found.basis[0].abs(), torch.full((WHOLE,), GREY), rtol=0, atol=1e-4)
    measured = found.log_spectrum[:, 0].exp().double() / (WHOLE * (20 / 255) ** 2)
    # Of the nodes with bins near them, the mean power as weighted there.
    total = weights.sum((0, 1))
    expected = (weights * power[..., None]).sum((0, 1)) / total.clamp_min(1e-9)
    near = total > 1
    # A mean over n bins of count pictures each has a relative error of √(2 / n·count).
    sigma = (2 / (total[near] * count)).sqrt()
    ratio = (measured / expected)[near]
    assert bool(((ratio - 1).abs() < 4 * sigma + 0.02).all()), ratio
    # Frequencies lower than any that these pictures have: as the lowest that they have.
    assert total[0] == 0
    assert found.log_spectrum[0, 0] == found.log_spectrum[1, 0]


class TestEndToEnd:
    """Textures sent with the fitted code by an untrained model, over AWGN."""

    def model(self, code: ClassifiedTransformCode) -> witt.WITT:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = witt.create_model(
                "witt_light",
                dims=(8, 8),
                depths=(1, 1),
                heads=(1, 1),
                patch=2,
                window=4,
                channels=CHANNELS + SMOOTH,
                classes=2,
                smooth_channels=SMOOTH,
                refiner_blocks=1,
                cbr_range=None,
            )
        model.code.load_state_dict(code.state_dict())
        return model.eval()

    @pytest.mark.parametrize(("snr_db", "k"), [(0.0, 4), (10.0, 8), (20.0, 12)])
    def test_error_is_what_the_allocation_predicts(
        self, code: ClassifiedTransformCode, snr_db: float, k: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Σ v·σ²/(p + σ²) of what is sent, v of what is not, and the rest; within 4 σ and 3 %,
        or 8 % with some expanded.

        For p of an expanded coefficient that of a linear one with the same error.

        3 % are for variances that were fitted to other pictures and for the power, which is that
        of the picture and not the expected one. Each token has the class that it was made in: where
        power is short the transmitter finds another one cheaper for some, which are then less
        random than the class.
        """
        model, count = self.model(code), 40
        made = textures(4, count=count)
        image, found = made.image.float(), made.busy.long()
        monkeypatch.setattr(model.code, "classify", lambda *_: found)
        snrs, rates = torch.full((count,), snr_db), torch.full((count,), k)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            at = Conditions(snrs, rates)
            received = send(model, image, at, [channels.AWGN()], generator)
        errors = (received - image).square().sum((1, 2, 3)).double()

        allocation = code.allocate(found, snrs, rates)
        tokens = torch.stack([(found == c).sum((1, 2)) for c in range(2)], dim=1)
        smooth = (
            (interpolation_weights(16, 16, code.log_spectrum) @ code.log_spectrum).exp().flatten()
        )
        variance = torch.cat((code.log_variance.exp().flatten(), smooth)).expand(count, -1)
        each = torch.cat((tokens.repeat_interleave(CHANNELS, 1), torch.ones(count, len(smooth))), 1)
        noise = 10 ** (-snr_db / 10) / 2
        result = allocate(variance, each, 2 * allocation.uses, torch.full((count,), noise))
        power = result.power / noise
        equivalent = shannon_kotelnikov.equivalent_linear_power(power.clamp_min(1), result.pairs)
        power = torch.where(result.pairs > 0, equivalent, power)
        of_sent = result.number_sent * variance / (power + 1)
        predicted = (of_sent + (each - result.number_sent) * variance).sum(1)
        predicted += (tokens * code.log_rest.exp()).sum(1)

        difference = errors - predicted
        sigma = float(difference.std()) / math.sqrt(count)
        share = 0.08 if bool(result.pairs.any()) else 0.03
        assert abs(float(difference.mean())) < 4 * sigma + share * float(predicted.mean())
        assert sigma < 0.02 * float(predicted.mean())

    def test_two_kinds_are_better_than_one(self, code: ClassifiedTransformCode) -> None:
        """The same pictures and rate with all tokens in the class of the busy ones."""
        model, count = self.model(code), 20
        image = textures(5, count=count).image.float()
        at = Conditions(*at_usual(count))
        errors = []
        for chance in (code.map_bits, torch.tensor([60.0, 0.0]).expand(3, 2)):
            model.code.map_bits.copy_(chance)
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                received = send(model, image, at, [channels.AWGN()], generator)
            errors.append(float((received - image).square().mean()))
        assert errors[0] < 0.8 * errors[1]
