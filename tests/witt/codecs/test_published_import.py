"""Weights of the published code: every key finds its place, and the arithmetic is the same."""

from collections.abc import Callable
from dataclasses import replace
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
    CIFAR,
    Sizes,
    State,
    _windows,
    encode,
    extras,
    random_state,
    reconstruct,
    shapes,
)
from witt.codecs.presets import CONFIGS, preset
from witt.codecs.published import (
    convert,
    export_published,
    import_published,
    imported_config,
    read_published,
    unwrapped,
)
from witt.codecs.witt import WITTConfig
from witt.errors import InputError
from witt.nn.meta import without_values
from witt.store.weights import load_weights

TINY = Sizes((8, 12), (2, 3), (2, 3), 4, 6)
SIZES = {
    "witt_base": BASE,
    "witt_cifar": CIFAR,
    "witt_small": BASE._replace(depths=(2, 2, 2, 2)),
    "witt_large": BASE._replace(depths=(2, 2, 18, 2)),
}


def config_of(sizes: Sizes, **entries: Any) -> WITTConfig:
    return WITTConfig("tiny", **sizes._asdict(), sends_scale=True, **entries)


def build(state: State, config: WITTConfig) -> witt.WITT:
    """The imported model in the precision of the state."""
    model = witt.WITT(config).to(next(iter(state.values())).dtype).eval()
    model.load_state_dict(convert(state, config))
    return model


@torch.inference_mode()
def noiseless(model: witt.WITT, image: Tensor, snr_db: float) -> Tensor:
    size = (image.shape[2], image.shape[3])
    complex_dtype = torch.complex128 if image.dtype == torch.float64 else torch.complex64
    silence = torch.zeros(len(image), model.channel_uses(size), dtype=complex_dtype)
    return model(image, channels.AWGN(), snr_db, noise=silence).image


def picture(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=dtype)


# Names


def our_name(key: str) -> str:
    for theirs, ours in (
        ("head_list", "head"),
        ("sm_list", "modnet.sm_list"),
        ("bm_list", "modnet.bm_list"),
        (".fc.", "."),
    ):
        key = key.replace(theirs, ours)
    return key


@pytest.mark.parametrize("name", SIZES)
def test_names_and_shapes_of_every_preset(name: str) -> None:
    """One of ours for each of theirs, of the same shape."""
    model = without_values(lambda: witt.WITT(CONFIGS[name]))
    ours = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    sizes = SIZES[name]._replace(channels=CONFIGS[name].channels)
    assert {our_name(key): shape for key, shape in shapes(sizes).items()} == ours


@pytest.mark.parametrize("name", ["witt_base", "witt_cifar"])
def test_every_key_finds_its_place(name: str) -> None:
    """Each tensor is filled with a number of its own; nothing of ours is left over."""
    sizes = SIZES[name]._replace(channels=24)
    keys = shapes(sizes)
    state = {key: torch.tensor(float(i)).expand(s) for i, (key, s) in enumerate(keys.items())}
    config = imported_config(state, name)
    assert (config.channels, config.sends_scale) == (24, True)
    converted = convert(state | extras(sizes, 256), config)
    assert set(converted) == set(map(our_name, keys))
    for i, (key, shape) in enumerate(keys.items()):
        assert converted[our_name(key)].shape == shape, key
        assert (converted[our_name(key)] == i).all(), key


@pytest.mark.parametrize("name", SIZES)
def test_the_variant_is_told_from_the_shapes(name: str) -> None:
    sizes = SIZES[name]._replace(channels=24)
    config = imported_config({key: torch.empty(s) for key, s in shapes(sizes).items()})
    assert config == preset(name, channels=24, sends_scale=True)


def test_other_sizes_and_no_modnet() -> None:
    """A file without a ModNet is of a network without; sizes of no preset are taken as well."""
    state = random_state(TINY)
    config = imported_config(state)
    assert config == replace(config_of(TINY), name="witt", cbr_range=None)
    without = {k: v for k, v in state.items() if ".sm_list." not in k and ".bm_list." not in k}
    config = imported_config(without)
    assert not config.modulation
    image = picture(1, 3, 32, 32)
    received = noiseless(build(without, config), image, 5.0)
    assert torch.equal(received, noiseless(build(state, config), image, 5.0))
    with pytest.raises(InputError, match=r"encoder\.patch_embed\.proj\.weight"):
        imported_config({"weight": torch.zeros(1)})


def test_back_to_the_published_naming(tmp_path: Path) -> None:
    """All that the published network registers, its masks too, and the same weights."""
    state = random_state(CIFAR)
    torch.save(state, tmp_path / "theirs.model")
    export_published(tmp_path / "back.model", import_published(tmp_path / "theirs.model"), (32, 32))
    back = torch.load(tmp_path / "back.model", weights_only=True)
    named = {k: v for k, v in extras(CIFAR, 32).items() if "loss" not in k}
    assert set(back) == set(state) | set(named)
    assert all(torch.equal(back[key], value) for key, value in state.items())
    assert all(back[key].shape == value.shape for key, value in named.items())


def test_masks_keep_apart_what_the_shift_brought_together(tmp_path: Path) -> None:
    sizes = TINY
    export_published(tmp_path / "m", build(random_state(sizes), config_of(sizes)), (32, 32))
    mask = torch.load(tmp_path / "m", weights_only=True)["encoder.layers.0.blocks.1.attn_mask"]
    _, around = _windows(16, 16, 4, 2)
    assert torch.equal(mask == 0, around[:, None] == around[:, :, None])
    assert set(mask.unique().tolist()) == {0.0, -100.0}


def test_what_the_published_code_has_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rate-adaptive"):
        export_published(tmp_path / "m", witt.create_model("witt_cifar", rate_adaptive=True))
    with pytest.raises(InputError, match="scale"):
        export_published(tmp_path / "m", witt.create_model("witt_cifar"))
    with pytest.raises(
        InputError, match="is a DynamicWITT, which the published code does not have"
    ):
        export_published(tmp_path / "m", witt.create_model("witt_cifar_narrow_dynamic"))
    model = witt.create_model("witt_cifar", sends_scale=True)
    with pytest.raises(InputError, match="multiples of 8"):
        export_published(tmp_path / "m", model, (30, 32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", [128, 256, 1024])
def test_masks_of_any_resolution_are_left_out(side: int) -> None:
    state = random_state(TINY)
    converted = convert(state | extras(TINY, side), config_of(TINY))
    assert all(torch.equal(converted[our_name(key)], value) for key, value in state.items())
    assert len(converted) == len(state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"model": state, "optimizer": {"state": {}}, "epoch": 3},
        lambda state: {"net": {"state_dict": state}},
    ],
    ids=["bare", "nested", "nested-module", "module", "model", "twice"],
)
def test_nesting_and_prefixes_are_undone(wrap: Callable[[State], Any], tmp_path: Path) -> None:
    state = random_state(TINY)
    torch.save(wrap(state), tmp_path / "published.model")
    found = read_published(tmp_path / "published.model")
    assert set(found) == set(state)
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_each_wrong_key_is_named() -> None:
    state = random_state(TINY)
    del state["encoder.norm.bias"], state["decoder.bm_list.3.fc.2.weight"]
    state["decoder.tail.weight"] = torch.zeros(1)
    state["encoder.layers.1.blocks.2.mlp.fc1.bias"] = torch.zeros(5)
    state["encoder.head_list.bias"][2] = torch.nan
    with pytest.raises(witt.InputError) as caught:
        convert(state, config_of(TINY))
    said = str(caught.value)
    assert "missing encoder.norm.bias;" in said
    assert "missing decoder.bm_list.3.fc.2.weight" in said
    assert "not known decoder.tail.weight" in said
    assert "encoder.layers.1.blocks.2.mlp.fc1.bias of shape (5,), not (48,)" in said
    assert "encoder.head_list.bias with values that are not finite" in said
    assert said.count(";") == 4


@pytest.mark.parametrize(
    ("loaded", "named"),
    [
        ([1, 2], "no state dict, but list"),
        ({}, "no state dict, but dict"),
        ({"encoder.norm.weight": 3.0}, "'encoder.norm.weight' is float"),
        ({"a": torch.zeros(1), "module.a": torch.ones(1)}, "a is there with and without module."),
    ],
)
def test_refuses_what_is_no_state_dict(loaded: Any, named: str) -> None:
    with pytest.raises(witt.InputError, match=named):
        unwrapped(loaded)


# Arithmetic


@pytest.mark.parametrize("snr_db", [1.0, 13.0])
@pytest.mark.parametrize("side", [(16, 16), (32, 48)], ids=["one-window", "many"])
def test_same_arithmetic(side: tuple[int, int], snr_db: float) -> None:
    """In float64, where only a different equation can show; a map may equal the window."""
    state = random_state(TINY, dtype=torch.float64)
    image = picture(2, 3, *side, dtype=torch.float64)
    model = build(state, config_of(TINY))
    expected = reconstruct(state, TINY, image, snr_db)
    assert expected.std() > 0.1
    torch.testing.assert_close(noiseless(model, image, snr_db), expected, rtol=0, atol=1e-12)


def test_without_modulation_its_weights_are_unused() -> None:
    state = random_state(TINY, dtype=torch.float64)
    image = picture(1, 3, 32, 32, dtype=torch.float64)
    model = build(state, config_of(TINY, modulation=False))
    expected = reconstruct(state, TINY, image, 1.0, modulation=False)
    for snr_db in (1.0, 13.0):
        torch.testing.assert_close(noiseless(model, image, snr_db), expected, rtol=0, atol=1e-12)
    assert (reconstruct(state, TINY, image, 1.0) - expected).abs().max() > 0.01


def test_symbols_are_the_features() -> None:
    """I and Q are adjacent features of a token, scaled to unit power within the header's 0.1 %."""
    state = random_state(TINY, dtype=torch.float64)
    image = picture(2, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        symbols, header = build(state, config_of(TINY)).encode(image, 7.0)
    features = encode(state, TINY, image, 7.0).reshape(2, -1, 2)
    sent = torch.view_as_real(symbols) / header.get("scale")[:, :, None]
    torch.testing.assert_close(sent, features, rtol=0, atol=1e-12)
    power = symbols.abs().square().mean(dim=1)
    torch.testing.assert_close(power, torch.ones_like(power), rtol=1e-3, atol=0)


def test_cifar_preset_in_float32() -> None:
    state = random_state(CIFAR)
    model = build(state, imported_config(state, "witt_cifar"))
    image = picture(2, 3, 32, 32)
    for snr_db in (1.0, 13.0):
        error = noiseless(model, image, snr_db) - reconstruct(state, CIFAR, image, snr_db)
        assert error.abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", [(256, 256), (512, 768)], ids=str)
@pytest.mark.parametrize("name", ["witt_base", "witt_cifar"])
def test_presets_within_1e_5(name: str, size: tuple[int, int]) -> None:
    state = random_state(SIZES[name])
    model = build(state, imported_config(state, name))
    image = picture(1, 3, *size)
    for snr_db in (1.0, 13.0):
        error = noiseless(model, image, snr_db) - reconstruct(state, SIZES[name], image, snr_db)
        assert error.abs().max() < 1e-5


# The command


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in ("import-weights", *args)])
    return int(stop.value.code or 0), *capsys.readouterr()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file keeps float32, says `sends_scale` and computes what the published one does."""
    state = random_state(CIFAR)
    source, out = tmp_path / "published.model", tmp_path / "new" / "mine.safetensors"
    torch.save({"state_dict": state | extras(CIFAR, 32)}, source)
    code, said, err = run(capsys, source, "-o", out, "--preset", "witt_cifar")
    assert (code, err) == (0, "")
    assert "witt_cifar, 13.7 M parameters, 32 feature channels, CBR 0.3333" in said
    model, training = load_weights(out)
    assert model.config.sends_scale
    assert model.config.snr_range_db == (1.0, 13.0)
    assert training["imported"]["file"] == "published.model"
    image = picture(1, 3, 32, 32)
    error = noiseless(model, image, 7.0) - reconstruct(state, CIFAR, image, 7.0)
    assert error.abs().max() < 1e-5


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_the_file_is_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, sprung = tmp_path / "evil.model", tmp_path / "sprung"
    torch.save({"encoder.norm.weight": Trap(sprung)}, source)
    code, _, err = run(capsys, source, "--preset", "witt_base")
    assert code == 2
    assert "evil.model: not a weights file of PyTorch, or one that holds more than tensors" in err
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("contents", "args", "named"),
    [
        (None, ["--preset", "witt_base"], "published.model: no such file"),
        (b"", ["--preset", "witt_base"], "published.model: "),
        (b"PK\3\4 damaged", ["--preset", "witt_base"], "published.model: "),
        (b"text", [], "published.model: cannot be read as weights of PyTorch"),
        (b"text", ["--preset", "witt_light"], "witt_light"),
        (b"text", ["--preset", "witt_base", "-o", "published.model"], "is the input"),
        (b"text", ["--preset", "witt_base", "-o", "."], "is a folder"),
    ],
)
def test_bad_input(
    contents: bytes | None,
    args: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if contents is not None:
        Path("published.model").write_bytes(contents)
    code, out, err = run(capsys, "published.model", *args)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert not list(tmp_path.glob("*.safetensors"))


def test_another_preset_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(random_state(TINY), tmp_path / "a.model")
    code, _, err = run(capsys, tmp_path / "a.model", "--preset", "witt_cifar")
    assert code == 2
    assert "not the weights of witt_cifar: " in err
    assert "more" in err
    assert err.count("\n") == 1
