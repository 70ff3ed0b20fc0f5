"""Both networks start as the linear code, and the decoder adds in units of its expected error."""

import pytest
import torch
from torch import Tensor

import witt
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.refiner import RefiningDecoder, lmmse, whitened
from witt.codecs.classified.symbol_mapping import from_symbols
from witt.codecs.witt import condition_vector
from witt.nn.layers import OUTPUT_SCALE

CHANNELS, SMOOTH, CLASSES = 12, 2, 3
SIZES = [(1, 1), (3, 5), (6, 4)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def tiny() -> witt.WITT:
    """Untrained, in float64, with a code of classes that is not the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model(
            "witt_light",
            dims=(8, 8),
            depths=(1, 1),
            heads=(1, 2),
            patch=2,
            window=2,
            channels=CHANNELS,
            classes=CLASSES,
            smooth_channels=SMOOTH,
            refiner_blocks=2,
            cbr_range=None,
        ).double()
    code, own = model.code, CHANNELS - SMOOTH
    code.basis.copy_(torch.linalg.qr(normal(48, CHANNELS)).Q.T)
    code.rotation.copy_(torch.linalg.qr(normal(CLASSES, own, own, seed=2)).Q)
    code.centre.copy_(0.1 * normal(CLASSES, own, seed=3))
    code.log_variance.copy_(normal(CLASSES, own, seed=4) - 4)
    code.log_rest.copy_(normal(CLASSES, seed=5) - 4)
    code.log_spectrum.copy_(normal(*code.log_spectrum.shape, seed=6) - 2)
    return model


def received(model: witt.WITT, size: tuple[int, int]) -> dict[str, Tensor]:
    """Two pictures of random features, at 3 and 15 dB; the arguments of the decoder."""
    generator = torch.Generator().manual_seed(7)
    classes = torch.randint(0, CLASSES, (2, *size), generator=generator)
    snr_db, k = torch.tensor([3.0, 15.0]), torch.tensor([8, 10])
    allocation = model.code.allocate(classes, snr_db, k)
    features = normal(2, *size, CHANNELS, seed=8) * allocation.sent
    error = torch.rand(features.shape, generator=generator, dtype=torch.float64)
    return {
        "allocation": allocation,
        "features": features,
        "error": torch.where(allocation.sent, error, 1.0),
        "amplitude": torch.tensor([0.8, 1.3]).double()[:, None, None, None],
        "condition": condition_vector(model.config, snr_db, k).double(),
    }


def awake(decoder: RefiningDecoder) -> RefiningDecoder:
    """With a last convolution that is not zero."""
    for parameter in decoder.out.parameters():
        torch.nn.init.constant_(parameter, 0.02)
    return decoder


@every_size
@torch.no_grad()
def test_untrained_it_is_the_linear_receiver(size: tuple[int, int]) -> None:
    model = tiny()
    given = received(model, size)
    estimate, _ = lmmse(given["allocation"], given["features"], given["error"], given["amplitude"])
    expected = model.code.synthesise(estimate, given["allocation"].classes)
    assert expected.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert torch.equal(model.decoder(model.code, **given), expected)
    assert not torch.allclose(awake(model.decoder)(model.code, **given), expected)


@torch.no_grad()
def test_what_it_adds_is_in_units_of_the_expected_error() -> None:
    """Twice the deviation of all features: the same symbols, and twice the addition.

    The head is silenced, and the linear picture is grey, so that the blocks see the same.
    """
    model = tiny()
    decoder, code = awake(model.decoder), model.code
    torch.nn.init.zeros_(decoder.head.weight)
    code.centre.zero_()
    given = received(model, (3, 5))
    given["features"] = torch.zeros_like(given["features"])
    added = decoder(code, **given) - 0.5
    assert added.abs().mean() > 1e-3
    allocation = given["allocation"]
    given["allocation"] = allocation._replace(
        variance=4 * allocation.variance, gain=allocation.gain / 2
    )
    code.log_rest += torch.tensor(4.0).log()
    torch.testing.assert_close(decoder(code, **given) - 0.5, 2 * added)


@torch.no_grad()
def test_the_unit_is_the_error_of_a_pixel() -> None:
    """√((what is left of the features + what none holds) / 48), for each token by itself.

    With a last convolution that is constant, the addition is a constant times this unit.
    """
    model = tiny()
    decoder, code = model.decoder, model.code
    torch.nn.init.ones_(decoder.out.bias)
    given = received(model, (3, 5))
    allocation = given["allocation"]
    estimate, left = lmmse(allocation, given["features"], given["error"], given["amplitude"])
    added = decoder(code, **given) - code.synthesise(estimate, allocation.classes)
    unit = ((left.sum(-1) + code.log_rest.exp()[allocation.classes]) / 48).sqrt()
    ratio = added / unit[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(
        ratio, torch.full_like(ratio, float(ratio.mean())), rtol=1e-9, atol=0
    )
    assert float(ratio.mean()) > 0


@torch.no_grad()
def test_picture_by_picture() -> None:
    model = tiny()
    decoder = awake(model.decoder)
    given = received(model, (6, 4))
    together = decoder(model.code, **given)
    for i in range(2):
        alone = {name: x[i : i + 1] for name, x in given.items() if name != "allocation"}
        allocation = PictureAllocation(*(x[i : i + 1] for x in given["allocation"]))
        torch.testing.assert_close(decoder(model.code, allocation, **alone), together[i : i + 1])


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny()
    given = received(model, (3, 5))
    awake(model.decoder)(model.code, **given).sin().sum().backward()
    for name, parameter in model.decoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


class TestShaping:
    """What the encoder's network does to the features of two random pictures."""

    def sent(self, model: witt.WITT) -> tuple[Tensor, PictureAllocation]:
        """Features (2, 3, 5, 12) in their symbols, and the allocation; at -10 and 5 dB."""
        image = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(1)).double()
        snr_db, k = torch.tensor([-10.0, 5.0]).double(), torch.tensor([8, 8])
        sending = model.transmit(image, snr_db, k, 60)
        error = torch.zeros(2, 60).double()
        assert sending.allocation is not None
        return from_symbols(sending.symbols, error, sending.allocation)[0], sending.allocation

    @torch.no_grad()
    def test_untrained_the_features_are_those_of_the_code(self) -> None:
        model = tiny()
        features, allocation = self.sent(model)
        image = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(1)).double()
        code = model.code.analyse(model.code.project(image), allocation.classes)
        assert not allocation.expanded.numel()
        torch.testing.assert_close(features, code * allocation.gain)

    @torch.no_grad()
    def test_a_summand_goes_wherever_there_is_a_place(self) -> None:
        """Also where the linear code puts no power; the smooth features get none."""
        model = tiny()
        before, allocation = self.sent(model)
        model.encoder.head.bias[CHANNELS - SMOOTH :] = 3.0
        added = self.sent(model)[0] - before
        expected = 3 * OUTPUT_SCALE * allocation.sent[..., SMOOTH:]
        torch.testing.assert_close(added[..., SMOOTH:], expected.double())
        torch.testing.assert_close(added[..., :SMOOTH], torch.zeros_like(added[..., :SMOOTH]))
        silent = allocation.sent & (allocation.gain == 0)
        assert silent[..., SMOOTH:].any()

    @torch.no_grad()
    def test_a_factor_scales_what_the_code_sends(self) -> None:
        model = tiny()
        before, _ = self.sent(model)
        model.encoder.head.bias[: CHANNELS - SMOOTH] = 5.0
        factor = 2 * torch.sigmoid(torch.tensor(5 * OUTPUT_SCALE).double())
        after = self.sent(model)[0]
        torch.testing.assert_close(after[..., SMOOTH:], factor * before[..., SMOOTH:])
        torch.testing.assert_close(after[..., :SMOOTH], before[..., :SMOOTH])

    def test_every_parameter_gets_a_gradient(self) -> None:
        model = tiny()
        torch.nn.init.normal_(model.encoder.head.weight, std=0.1)
        self.sent(model)[0].sin().sum().backward()
        for name, parameter in model.encoder.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()), name


@pytest.mark.parametrize("error", [0.1, 0.7])
@pytest.mark.parametrize("power", [0.0, 0.05, 6.0])
def test_what_is_observed_is_as_strong_whatever_was_sent(power: float, error: float) -> None:
    """Mean square 1−e of y = (1−e)·x + n, measured; that of n samples is good to √(2/n)."""
    n, variance, amplitude = 200_000, 0.3, 1.4
    gain = (power / 2 / variance) ** 0.5 * amplitude
    feature, noise = normal(2, n).unbind()
    y = (1 - error) * gain / amplitude * feature * variance**0.5
    y = y + ((1 - error) * error / 2) ** 0.5 * noise
    full = torch.full((1, 1, n, 1), 1.0).double()
    none = torch.zeros(1, dtype=torch.int64)
    kinds = torch.zeros(1, 1, n, dtype=torch.int64)
    expanded = none[:, None][:, :0]
    allocation = PictureAllocation(
        kinds, variance * full, gain * full, full > 0, expanded, expanded, expanded, none, none
    )
    observed = whitened(allocation, y.view(1, 1, n, 1), error * full, amplitude * full[:, :, :1])
    assert float(observed.square().mean()) == pytest.approx(1 - error, rel=4 * (2 / n) ** 0.5)


class TestLmmse:
    def allocation(self, variance: Tensor, gain: Tensor) -> PictureAllocation:
        shape = variance.shape[:3]
        none = torch.zeros(shape[0], dtype=torch.int64)
        expanded = none[:, None][:, :0]
        labels = torch.zeros(shape, dtype=torch.int64)
        return PictureAllocation(
            labels, variance, gain, gain > 0, expanded, expanded.double(), expanded, none, none
        )

    @pytest.mark.parametrize("error", [1e-4, 0.1, 0.7])
    @pytest.mark.parametrize("power", [0.05, 1.0, 6.0])
    def test_it_is_the_best_scalar(self, power: float, error: float) -> None:
        """y = (1−e)·x + n of a symbol with E|x|² = 1; E[f·y] / E[y²] of a feature measured.

        The Monte-Carlo error of a product of two Gaussians over n samples is at most
        √(2/n)·σ₁·σ₂.
        """
        n, variance, amplitude = 400_000, 0.3, 1.4
        gain = (power / 2 / variance) ** 0.5 * amplitude
        feature, noise = normal(2, n).unbind()
        feature = feature * variance**0.5
        y = (1 - error) * gain / amplitude * feature
        y = y + ((1 - error) * error / 2) ** 0.5 * noise
        allocation = self.allocation(
            torch.full((1, 1, n, 1), variance), torch.full((1, 1, n, 1), gain)
        )
        estimate, left = lmmse(
            allocation,
            y.view(1, 1, n, 1),
            torch.full((1, 1, n, 1), error),
            torch.tensor(amplitude).view(1, 1, 1, 1),
        )
        estimate = estimate.flatten()
        tolerance = 4 * (2 / n) ** 0.5
        best = float((feature * y).mean() / y.square().mean())
        # Of the quotient: that of its two means, which are not independent.
        bound = tolerance * (variance**0.5 / float(y.square().mean()) ** 0.5 + abs(best))
        assert float(estimate[0] / y[0]) == pytest.approx(best, abs=bound)
        # Orthogonality: what is left has nothing to do with what was received.
        mistake = estimate - feature
        scale = float(mistake.square().mean().sqrt() * y.square().mean().sqrt())
        assert float((mistake * y).mean()) == pytest.approx(0, abs=tolerance * scale)
        assert float(left.mean()) == pytest.approx(float(mistake.square().mean()), rel=tolerance)

    def test_nothing_sent_nothing_known(self) -> None:
        variance = normal(1, 2, 3, 4).square()
        silent = torch.zeros_like(variance)
        estimate, left = lmmse(
            self.allocation(variance, silent), silent, silent + 1, torch.ones(1, 1, 1, 1).double()
        )
        assert not estimate.any()
        torch.testing.assert_close(left, variance)

    def test_without_noise_all_is_known(self) -> None:
        variance, features = normal(1, 2, 3, 4).square(), normal(1, 2, 3, 4, seed=2)
        gain, amplitude = torch.full_like(variance, 0.7), torch.full((1, 1, 1, 1), 1.7).double()
        estimate, left = lmmse(
            self.allocation(variance, gain), features * gain / amplitude, 0 * gain, amplitude
        )
        torch.testing.assert_close(estimate, features)
        assert (left <= 1e-10).all()

    def test_gradients(self) -> None:
        variance, gain = normal(1, 1, 2, 3).square(), normal(1, 1, 2, 3, seed=2).abs()
        allocation = self.allocation(variance, gain)

        def both(features: Tensor, error: Tensor, amplitude: Tensor) -> tuple[Tensor, Tensor]:
            return lmmse(allocation, features, error, amplitude)

        features = normal(1, 1, 2, 3, seed=3).requires_grad_()
        error = torch.full((1, 1, 2, 3), 0.3, dtype=torch.float64, requires_grad=True)
        amplitude = torch.full((1, 1, 1, 1), 1.2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(both, (features, error, amplitude))
