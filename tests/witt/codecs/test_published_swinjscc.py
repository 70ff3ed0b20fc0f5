"""The four variants of SwinJSCC: files of that code are told apart, and compute the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import channels
import cli
import witt
from tests.witt.codecs.published_reference import (
    BASE,
    BOTH,
    NEITHER,
    RATE,
    SNR,
    VARIANTS,
    WITH_RATE,
    Sizes,
    State,
    encode_rate,
    extras,
    random_state,
    reconstruct,
    shapes,
    through,
)
from witt.codecs.presets import CONFIGS, preset
from witt.codecs.published import convert, export_published, import_published, imported_config
from witt.errors import InputError
from witt.link.profile_link import transmit_as
from witt.link.profiles import OURS, PUBLISHED
from witt.nn.meta import without_values
from witt.store.weights import load_weights, save_weights

TINY = Sizes((8, 24), (2, 3), (2, 3), 4, 10)
SIZES = {
    "swinjscc_base": BASE,
    "swinjscc_small": BASE._replace(depths=(2, 2, 2, 2)),
    "swinjscc_large": BASE._replace(depths=(2, 2, 18, 2)),
}
RATES = (4, 10, 18)
SIDE = (32, 48)
STRIDE = 4


def picture(batch: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand((batch, 3, *SIDE), generator=generator, dtype=dtype)


def from_file(path: Path, variant: str) -> tuple[State, Any]:
    """A random file of the published code, and what is imported of it."""
    state = random_state(TINY, 1, variant=variant)
    torch.save({"state_dict": state | extras(TINY, 64)}, path)
    return state, import_published(path, modulation=variant != NEITHER)


def in_float64(variant: str) -> tuple[State, witt.SwinJSCC]:
    state = random_state(TINY, dtype=torch.float64, variant=variant)
    config = imported_config(state)
    model = witt.SwinJSCC(config).double().eval()  # type: ignore[arg-type]
    model.load_state_dict(convert(state, config))
    return state, model


@torch.inference_mode()
def noiseless(model: Any, image: Tensor, snr_db: float, cbr: float | None = None) -> Tensor:
    dtype = torch.complex128 if image.dtype == torch.float64 else torch.complex64
    silence = torch.zeros(len(image), model.channel_uses(SIDE, cbr), dtype=dtype)
    received: Tensor = model(image, channels.AWGN(), snr_db, cbr, noise=silence).image
    return received


def cbr_of(rate: int) -> float:
    return rate / (6 * STRIDE**2)


# Names


def our_name(key: str, variant: str) -> str:
    if key.startswith(("encoder.sm_list.", "encoder.bm_list.")):
        key = key.replace("encoder.", "rate_modnet.")
    for number in ("1", ""):
        for each in ("sm_list", "bm_list"):
            key = key.replace(f"coder.{each}{number}.", f"coder.modnet.{each}.")
    return key.replace(".fc.", ".")


@pytest.mark.parametrize("name", SIZES)
def test_names_and_shapes_of_every_preset(name: str) -> None:
    """One of ours for each of theirs, of the same shape; "with RA" has no Channel ModNets."""
    model = without_values(lambda: witt.create_model(name))
    ours = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    both = {our_name(key, BOTH): shape for key, shape in shapes(SIZES[name], BOTH).items()}
    assert both == ours
    rate = {our_name(key, RATE): shape for key, shape in shapes(SIZES[name], RATE).items()}
    assert rate == {key: shape for key, shape in ours.items() if "coder.modnet." not in key}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SIZES)
def test_the_variant_is_told_from_the_keys(name: str, variant: str) -> None:
    keys = shapes(SIZES[name]._replace(channels=24), variant)
    config = imported_config({key: torch.empty(shape) for key, shape in keys.items()})
    if variant in WITH_RATE:
        assert config == preset(name, modulation=variant == BOTH)
        assert (config.channels, config.rate_adaptive, config.sends_scale) == (320, True, True)
        assert config.served_cbr == (1 / 48, 1 / 8)
    else:
        network = name.replace("swinjscc", "witt")
        assert config == preset(network, channels=24, sends_scale=True)


def test_of_other_sizes_every_rate_is_served(tmp_path: Path) -> None:
    _, model = from_file(tmp_path / "theirs.model", BOTH)
    assert (model.name, model.config.channels) == ("swinjscc", 24)
    assert model.served_cbr == (cbr_of(2), cbr_of(24))


@pytest.mark.parametrize(
    ("variant", "name", "said"),
    [
        (BOTH, "witt_base", "a Rate ModNet and no head: choose swinjscc_base, .*, not witt_base"),
        (SNR, "swinjscc_base", "a head and so one rate: choose witt_base, .*, not swinjscc_base"),
    ],
)
def test_a_preset_of_the_other_kind_is_refused(variant: str, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        imported_config(random_state(TINY, variant=variant), name)


def test_each_wrong_key_is_named() -> None:
    state = random_state(TINY, variant=BOTH)
    config = imported_config(state)
    del state["encoder.bm_list1.3.fc.2.weight"], state["decoder.sm_list.7.bias"]
    state["encoder.sm_list.2.weight"] = torch.zeros(5)
    with pytest.raises(InputError) as caught:
        convert(state, config)
    said = str(caught.value)
    assert "missing encoder.bm_list1.3.fc.2.weight" in said
    assert "missing decoder.sm_list.7.bias" in said
    assert "encoder.sm_list.2.weight of shape (5,), not (36, 36)" in said


@pytest.mark.parametrize("variant", WITH_RATE)
def test_back_to_the_published_naming(variant: str, tmp_path: Path) -> None:
    """All that the published network registers, its attention masks too, and the same weights."""
    state, model = from_file(tmp_path / "theirs.model", variant)
    export_published(tmp_path / "back.model", model, (64, 64))
    back = torch.load(tmp_path / "back.model", weights_only=True)
    named = {key: value for key, value in extras(TINY, 64).items() if "loss" not in key}
    assert set(back) == set(state) | set(named)
    assert all(torch.equal(back[key], value) for key, value in state.items())
    assert all(back[key].shape == value.shape for key, value in named.items())


# Arithmetic


@pytest.mark.parametrize("snr_db", [1.0, 13.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_files_compute_the_same(variant: str, snr_db: float, tmp_path: Path) -> None:
    """From a file to a picture, in float32: within 2e-6 of its largest value."""
    state, model = from_file(tmp_path / "theirs.model", variant)
    image = picture()
    if variant in WITH_RATE:
        found = [noiseless(model, image, snr_db, cbr_of(rate)) for rate in RATES]
        expected = [through(state, TINY, image, snr_db, rate, variant) for rate in RATES]
    else:
        found = [noiseless(model, image, snr_db)]
        modulation = variant != NEITHER
        expected = [reconstruct(state, TINY, image, snr_db, modulation=modulation)]
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 0.1
        assert (ours - theirs).abs().max() < 2e-6 * theirs.abs().max()


@pytest.mark.parametrize("variant", WITH_RATE)
def test_same_arithmetic(variant: str) -> None:
    """In float64, where only a different equation can show; C and SNR each change the picture."""
    state, model = in_float64(variant)
    image, seen = picture(dtype=torch.float64), []
    for snr_db, rate in ((1.0, 4), (1.0, 10), (13.0, 10)):
        found = noiseless(model, image, snr_db, cbr_of(rate))
        expected = through(state, TINY, image, snr_db, rate, variant)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        seen.append(found)
    assert (seen[0] - seen[1]).abs().max() > 0.01
    assert torch.equal(seen[1], seen[2]) is (variant == RATE)  # which is told no SNR


@pytest.mark.parametrize("variant", WITH_RATE)
def test_the_published_way_over_noise(variant: str) -> None:
    """The whole map, with noise in what is not sent too; one power for the batch; a free mask."""
    state, model = in_float64(variant)
    image, rate, snr_db = picture(3, torch.float64), 10, 4.0
    uses = model.channel_uses(SIDE, cbr_of(rate))
    generator = torch.Generator().manual_seed(3)
    noise = channels.complex_normal((3, uses), dtype=torch.complex128, generator=generator)
    features, mask = encode_rate(state, TINY, image, snr_db, rate, variant)
    everywhere = torch.randn(features.shape, generator=generator, dtype=torch.float64)
    everywhere[mask == 1] = torch.view_as_real(noise).flatten()
    expected = through(state, TINY, image, snr_db, rate, variant, everywhere)
    with torch.inference_mode():
        awgn, cbr = channels.AWGN(), cbr_of(rate)
        sent = transmit_as(PUBLISHED, model, image, awgn, snr_db, cbr, noise=noise)
        ours = transmit_as(OURS, model, image, awgn, snr_db, cbr, noise=noise)
    torch.testing.assert_close(sent.image, expected, rtol=0, atol=1e-12)
    assert (ours.image - expected).abs().max() > 1e-3  # the power is that of each picture
    assert sent.header_bits == 56
    assert ours.header_bits == 56 + 16 + 21  # log2 of 24 choose 10 is 20.9


@pytest.mark.slow
def test_the_preset_in_float32(tmp_path: Path) -> None:
    state = random_state(SIZES["swinjscc_base"], variant=BOTH)
    torch.save(state, tmp_path / "theirs.model")
    model = import_published(tmp_path / "theirs.model")
    assert model.config == CONFIGS["swinjscc_base"]
    image = torch.rand((1, 3, 256, 256), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        silence = torch.zeros(1, model.channel_uses((256, 256), 1 / 16), dtype=torch.complex64)
        found = model(image, channels.AWGN(), 7.0, 1 / 16, noise=silence).image
    expected = through(state, SIZES["swinjscc_base"], image, 7.0, 96, BOTH)
    assert (found - expected).abs().max() < 1e-5


# The command


@pytest.mark.parametrize(
    ("variant", "ending"), [(BOTH, ""), (RATE, ", without ModNet")], ids=WITH_RATE[::-1]
)
def test_command(
    variant: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file says which variant it is, and is that of every other command."""
    state = random_state(TINY, 1, variant=variant)
    source, out = tmp_path / "theirs.model", tmp_path / "mine.safetensors"
    torch.save(state, source)
    with pytest.raises(SystemExit) as stop:
        cli.main(["import-weights", str(source), "-o", str(out)])
    said = capsys.readouterr()
    assert (stop.value.code or 0, said.err) == (0, "")
    assert "swinjscc, 0.1 M parameters, 24 feature channels, CBR 0.02083 to 0.25" in said.out
    assert said.out.rstrip().endswith(f"0.25{ending}")
    model, _ = load_weights(out)
    assert isinstance(model, witt.SwinJSCC)
    assert model.config.modulation is (variant == BOTH)
    expected = through(state, TINY, picture(), 7.0, 10, variant)
    error = noiseless(model, picture(), 7.0, cbr_of(10)) - expected
    assert error.abs().max() < 2e-6 * expected.abs().max()


def test_out_and_back_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`witt export` makes its folder; what it writes is imported as the same weights."""
    _, model = from_file(tmp_path / "theirs.model", BOTH)
    weights, out = tmp_path / "mine.safetensors", tmp_path / "new" / "folder"
    save_weights(weights, model, {}, dtype=torch.float32)
    options = ["--format", "published", "--weights", str(weights), "--size", "64x64"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", *options, "-o", str(out)])
    said = capsys.readouterr()
    assert (stop.value.code or 0, said.err) == (0, "")
    assert "published.model: for pictures of 64x64" in said.out
    back = import_published(out / "published.model").state_dict()
    assert all(torch.equal(back[name], value) for name, value in model.state_dict().items())
