"""Weights files: round trip in half precision, and what is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor

import channels
import witt
from witt.codecs.classified.config import ClassifiedConfig
from witt.store.weights import FORMAT, load_weights, resolve, save_weights, shipped

CONFIG = ClassifiedConfig(
    "tiny",
    dims=(4, 6),
    depths=(1, 2),
    heads=(1, 2),
    window=2,
    channels=4,
    modnet_layers=1,
    rate_adaptive=True,
    classes=2,
    sends_scale=True,
)
TRAINING = {"steps": 12, "data": "none", "snr_db": [1.0, 13.0]}


@pytest.fixture
def model() -> witt.ClassifiedCodec:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return witt.ClassifiedCodec(CONFIG)


@pytest.fixture
def path(tmp_path: Path, model: witt.ClassifiedCodec) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(path, model, TRAINING)
    return path


def sha256(state: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """The hash of the format, written out: configuration, training, then the tensors by name."""
    sha = hashlib.sha256()
    sha.update(f"{metadata.get('config', '')}\n{metadata.get('training', '')}\n".encode())
    for name in sorted(state):
        shape = tuple(state[name].shape)
        sha.update(f"{name} {state[name].dtype} {shape}\n".encode())
        sha.update(state[name].numpy().tobytes())
    return sha.hexdigest()


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safetensors.safe_open(path, framework="pt") as file:
        # Copies: the file is written over, which older safetensors show in what they have read.
        return {n: file.get_tensor(n).clone() for n in file.keys()}, file.metadata()  # noqa: SIM118


def rewrite(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    safetensors.torch.save_file(state, path, {**metadata, "sha256": sha256(state, metadata)})


def test_round_trip(path: Path, model: witt.ClassifiedCodec) -> None:
    """The configuration, the training, every tensor as half precision keeps it, and its work."""
    loaded, training = load_weights(path)
    assert loaded.config == CONFIG
    assert training == TRAINING
    assert not loaded.training
    state = loaded.state_dict()
    assert set(state) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert state[name].dtype == torch.float32
        assert torch.equal(state[name], tensor.half().float()), name

    model.load_state_dict(state)
    image = torch.rand((1, 3, 9, 8), generator=torch.Generator().manual_seed(1))
    noise = channels.complex_normal((1, 12), generator=torch.Generator().manual_seed(2))
    sent = [m(image, channels.AWGN(), 10.0, noise=noise).image for m in (model, loaded)]
    assert torch.equal(*sent)


def test_stored_in_half_precision(path: Path, model: witt.ClassifiedCodec) -> None:
    state, metadata = read(path)
    assert {t.dtype for t in state.values()} == {torch.float16}
    data = 2 * sum(t.numel() for t in model.state_dict().values())
    (header,) = [int.from_bytes(path.read_bytes()[:8], "little")]
    assert path.stat().st_size == 8 + header + data
    assert metadata["format"] == FORMAT == "witt-1"
    assert metadata["sha256"] == sha256(state, metadata)
    assert json.loads(metadata["config"])["name"] == "tiny"


def test_same_model_same_bytes(path: Path, model: witt.WITT, tmp_path: Path) -> None:
    save_weights(tmp_path / "again.safetensors", model, TRAINING)
    assert read(tmp_path / "again.safetensors")[1] == read(path)[1]


def test_hash_covers_values_names_and_shapes(path: Path) -> None:
    state, metadata = read(path)
    name = "encoder.norm.weight"  # ones at the start, so that a factor changes it
    changed = [
        {**state, name: state[name] * (1 + 2**-9)},
        {**state, name: state[name].reshape(1, -1)},
        {**{n: t for n, t in state.items() if n != name}, "encoder.other": state[name]},
    ]
    for other in changed:
        safetensors.torch.save_file(other, path, metadata)
        with pytest.raises(witt.InputError, match="do not match their hash"):
            load_weights(path)
    safetensors.torch.save_file(state, path, metadata)
    load_weights(path)


@pytest.mark.parametrize("part", [0.0, 0.37, 1.0])
def test_one_flipped_bit_is_seen(path: Path, part: float) -> None:
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + int(part * (len(data) - 1 - start))] ^= 1
    path.write_bytes(data)
    with pytest.raises(witt.InputError, match=r"tiny\.safetensors: the weights do not match"):
        load_weights(path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_cut_short(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(witt.InputError, match=r"tiny\.safetensors: not a safetensors file, or a"):
        load_weights(path)


@pytest.mark.parametrize("version", ["witt-0", "witt-2", None])
def test_other_format(path: Path, version: str | None) -> None:
    state, metadata = read(path)
    del metadata["format"]
    rewrite(path, state, metadata if version is None else {**metadata, "format": version})
    with pytest.raises(witt.InputError, match=f"format {version!r}, this version reads 'witt-1'"):
        load_weights(path)


def test_safetensors_of_something_else(path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(witt.InputError, match="weights of format None"):
        load_weights(path)


def test_missing_and_surplus_tensors_are_named(path: Path) -> None:
    state, metadata = read(path)
    tensor = state.pop("decoder.head.bias")
    rewrite(path, state, metadata)
    with pytest.raises(witt.InputError, match=r"not the weights of a WITT.*decoder\.head\.bias"):
        load_weights(path)
    rewrite(path, {**state, "decoder.head.bias": tensor, "more": tensor.clone()}, metadata)
    with pytest.raises(witt.InputError, match=r"not the weights of a WITT.*more"):
        load_weights(path)


@pytest.mark.parametrize(
    "change",
    [
        {"config": "{"},
        {"config": "[1]"},
        {"config": '{"name": "tiny"}'},
        {"training": "{"},
    ],
    ids=str,
)
def test_damaged_metadata(path: Path, change: dict[str, str]) -> None:
    state, metadata = read(path)
    rewrite(path, state, {**metadata, **change})
    with pytest.raises(witt.InputError, match="not the weights of a WITT model") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["config", "training"])
def test_missing_metadata(path: Path, key: str) -> None:
    state, metadata = read(path)
    del metadata[key]
    rewrite(path, state, metadata)
    with pytest.raises(witt.InputError, match=f"not the weights of a WITT model.*{key}"):
        load_weights(path)


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path, sprung = tmp_path / "model.pt", tmp_path / "sprung"
    torch.save({"weight": Trap(sprung)}, path)
    with pytest.raises(witt.InputError, match=r"model\.pt: not a safetensors file"):
        load_weights(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False)
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize("name", ["missing.safetensors", ".", "x" * 5000, "a\0b"])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    for read_it in (load_weights, resolve, witt.load):
        with pytest.raises(witt.InputError, match="no such weights file"):
            read_it(tmp_path / name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_folder_of_save_pretrained(tmp_path: Path, model: witt.WITT, dtype: torch.dtype) -> None:
    model.to(dtype).save_pretrained(tmp_path / "mine")
    path = resolve(tmp_path / "mine")
    assert path == tmp_path / "mine" / "model.safetensors"
    for place in (path, tmp_path / "mine"):
        loaded, training = load_weights(place)
        assert (loaded.config, training, loaded.training) == (CONFIG, {}, False)
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor.float()), name


def test_a_folder_of_a_run(path: Path, tmp_path: Path, model: witt.ClassifiedCodec) -> None:
    """Beside its own files, of which config.json is of another kind."""
    path.rename(tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text('{"preset": "witt_light"}')
    assert resolve(tmp_path) == tmp_path / "weights.safetensors"
    loaded, training = load_weights(tmp_path)
    assert training == TRAINING
    assert loaded.config == witt.load(tmp_path).config == model.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no such weights file: the folder has neither"),
        (lambda f: (f / "model.safetensors").unlink(), "the folder has neither"),
        (lambda f: (f / "config.json").write_text("{"), "not the weights of a WITT model"),
        (lambda f: (f / "config.json").write_text("[1]"), "not the weights of a WITT model"),
        (lambda f: (f / "config.json").write_text('{"name": "x"}'), "not the weights of a WITT"),
        (lambda f: (f / "config.json").write_bytes(b"\xff"), r"config\.json: cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "not a safetensors file"),
    ],
    ids=["no config", "no weights", "cut", "a list", "another config", "no text", "damaged"],
)
def test_folders_that_are_refused(
    tmp_path: Path, model: witt.WITT, change: Any, message: str
) -> None:
    folder = tmp_path / "mine"
    model.save_pretrained(folder)
    change(folder)
    with pytest.raises(witt.InputError, match=message) as caught:
        witt.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_finite_in_the_record_is_null(
    tmp_path: Path, model: witt.ClassifiedCodec
) -> None:
    """Older files may have NaN, which is read as it is."""
    path = tmp_path / "tiny.safetensors"
    save_weights(path, model, {"validation": {"a": float("nan")}, "score_db": float("inf")})
    state, metadata = read(path)
    json.loads(metadata["training"], parse_constant=pytest.fail)
    assert load_weights(path)[1] == {"validation": {"a": None}, "score_db": None}
    rewrite(path, state, {**metadata, "training": '{"score_db": Infinity}'})
    assert load_weights(path)[1] == {"score_db": float("inf")}


def test_cannot_be_written(tmp_path: Path, model: witt.ClassifiedCodec) -> None:
    with pytest.raises(witt.InputError, match="cannot be written"):
        save_weights(tmp_path / "missing" / "tiny.safetensors", model, {})
    assert not list(tmp_path.iterdir())


def test_names_of_shipped_weights(path: Path) -> None:
    assert resolve(path) == path
    with pytest.raises(witt.InputError, match="witt_huge: no such weights file, nor shipped") as e:
        witt.load("witt_huge")
    assert all(name in str(e.value) for name in shipped())


@pytest.mark.skipif("witt_light" not in shipped(), reason="witt_light is not shipped yet")
def test_shipped_light_sends_a_picture() -> None:
    """Better the better the channel, from a file of at most 16 MB."""
    assert shipped()["witt_light"].stat().st_size <= 16_000_000
    model = witt.load()
    assert model.config.name == "witt_light"
    sample = Path(witt.__file__).parent / "samples" / "kodim23.png"
    image = witt.to_tensor(witt.read_image(sample).pixels)
    quality = []
    for snr_db in (-2.0, 4.0, 10.0, 16.0):
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            sent = model(image, channels.AWGN(), snr_db, 1 / 16, generator=generator)
        quality.append(witt.psnr(sent.image, image).item())
    assert quality == sorted(quality)
    assert quality[2] > 30


def test_a_changed_configuration_is_noticed(path: Path) -> None:
    """The hash covers what the tensors mean, too."""
    state, metadata = read(path)
    config = json.loads(metadata["config"])
    changed = {**metadata, "config": json.dumps({**config, "snr_range_db": [0, 5]})}
    safetensors.torch.save_file(state, path, changed)
    with pytest.raises(witt.InputError, match="hash"):
        load_weights(path)


def test_a_diverged_model_is_not_written(tmp_path: Path, model: witt.ClassifiedCodec) -> None:
    broken = witt.ClassifiedCodec(CONFIG)
    with torch.no_grad():
        broken.encoder.head.bias[0] = 1e6  # beyond half precision
    with pytest.raises(witt.InputError, match=r"encoder\.head\.bias is not finite"):
        save_weights(tmp_path / "broken.safetensors", broken, TRAINING)
    assert not list(tmp_path.iterdir())
