"""DeepJSCC's convolutional network, against the layers of its paper."""

from __future__ import annotations

import pytest
import torch

import channels
import witt
from witt.codecs.presets import preset
from witt.errors import InputError


def test_layers_are_those_of_the_paper() -> None:
    """Bourtsoulatze et al. 2019, figure 2: 5x5 kernels; strides 2, 2, 1, 1, 1 and mirrored."""
    model = witt.create_model("deepjscc")
    convolutions = [
        [
            (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
            for layer in end.layers
            if hasattr(layer, "kernel_size")
        ]
        for end in (model.encoder, model.decoder)
    ]
    assert convolutions[0] == [
        (3, 16, 5, 2),
        (16, 32, 5, 2),
        (32, 32, 5, 1),
        (32, 32, 5, 1),
        (32, 6, 5, 1),
    ]
    assert convolutions[1] == [
        (6, 32, 5, 1),
        (32, 32, 5, 1),
        (32, 32, 5, 1),
        (32, 16, 5, 2),
        (16, 3, 5, 2),
    ]


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (37, 50)])
def test_any_size_crosses_and_counts_its_padding(size: tuple[int, int]) -> None:
    model = witt.create_model("deepjscc").eval()
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        sent = model(image, channels.Rayleigh(), 10.0)
    tokens = -(-size[0] // 4) * -(-size[1] // 4)
    assert sent.image.shape == image.shape
    assert sent.symbols.shape == (2, 3 * tokens)
    assert sent.cbr == pytest.approx(tokens / size[0] / size[1])
    assert sent.symbols.abs().square().mean(1) == pytest.approx([1.0, 1.0], rel=1e-5)
    assert sent.header_bits == 56  # no power scale


def test_sends_its_first_features_at_a_lower_rate() -> None:
    model = witt.create_model("deepjscc", channels=12, rate_adaptive=True).eval()
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.encoder(image)
        sent = model.encode(image, 10.0, 1 / 24)
    assert sent.symbols.shape == (1, 2 * 64)
    pairs = torch.view_as_real(sent.symbols).reshape(64, 4)
    first = features.reshape(64, 12)[:, :4]
    torch.testing.assert_close(pairs / pairs.norm(), first / first.norm())


def test_maps_keep_their_size_at_the_start() -> None:
    """Within a factor of two from the first convolution to the last, of noise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = witt.create_model("deepjscc")
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for network in (model.encoder.layers, model.decoder.layers[:-1]):
        for layer in network:
            x = layer(x)
            assert 0.5 < x.detach().std() < 2


def test_its_cbr_is_the_paper_s() -> None:
    assert preset("deepjscc").max_cbr == pytest.approx(1 / 16)
    assert witt.create_model("deepjscc", cbr="1/6").config.channels == 16  # k/n of the paper


@pytest.mark.parametrize("change", ["modulation", "classes", "heads", "window"])
def test_what_a_cnn_has_not_is_refused(change: str) -> None:
    """And what it has is listed."""
    with pytest.raises(InputError, match=rf"deepjscc has no {change}: .*kernel"):
        witt.create_model("deepjscc", **{change: 2})


def test_kernels_have_a_middle() -> None:
    with pytest.raises(InputError, match="odd side, not kernel 4"):
        witt.create_model("deepjscc", kernel=4)


@torch.inference_mode()
def test_its_symbols_do_not_depend_on_the_snr_and_those_of_others_do() -> None:
    """As `encoder_knows_snr` says of each: who keeps what was encoded relies on it."""
    image = torch.rand(1, 3, 48, 32, generator=torch.Generator().manual_seed(0))
    for name in ("deepjscc", "witt_base", "witt_light"):
        model = witt.load(name)
        low, high = (model.encode(image, snr_db, 1 / 16).symbols for snr_db in (1.0, 13.0))
        assert torch.equal(low, high) != model.encoder_knows_snr
