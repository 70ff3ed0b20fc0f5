"""The Hugging Face way, without a network: folders, shipped names, and what is pushed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import channels
import witt
from witt.codecs.witt import WITTConfig

CONFIG = WITTConfig("tiny", (4, 6), (1, 2), (1, 2), window=2, channels=4, modnet_layers=1)


@pytest.fixture
def model() -> witt.WITT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return witt.WITT(CONFIG).eval()


@pytest.fixture
def folder(tmp_path: Path, model: witt.WITT) -> Path:
    model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_round_trip(folder: Path, model: witt.WITT) -> None:
    """Configuration, weights bit by bit, and the picture that arrives."""
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    loaded = witt.WITT.from_pretrained(folder)
    assert type(loaded) is witt.WITT
    assert loaded.config == CONFIG
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    image = torch.rand((1, 3, 9, 8), generator=torch.Generator().manual_seed(1))
    noise = channels.complex_normal((1, 12), generator=torch.Generator().manual_seed(2))
    sent = [m(image, channels.AWGN(), 10.0, noise=noise).image for m in (model, loaded)]
    assert torch.equal(*sent)
    loaded.save_pretrained(folder.parent / "again")
    for name in ("config.json", "model.safetensors"):
        assert (folder.parent / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_shipped_weights_by_name() -> None:
    theirs, ours = witt.WITT.from_pretrained("deepjscc_cifar"), witt.load("deepjscc_cifar")
    assert theirs.config == ours.config
    assert all(map(torch.equal, theirs.parameters(), ours.parameters()))


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_model_comes_back_in_its_own_precision(
    tmp_path: Path, model: witt.WITT, dtype: torch.dtype
) -> None:
    """Bit by bit; or in the precision that is asked for."""
    model.to(dtype).save_pretrained(tmp_path / "a")
    loaded = witt.WITT.from_pretrained(tmp_path / "a")
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == dtype
        assert torch.equal(loaded.state_dict()[name], tensor), name
    loaded.save_pretrained(tmp_path / "b")
    files = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("a", "b")]
    assert files[0] == files[1]
    asked = witt.WITT.from_pretrained(tmp_path / "a", dtype=torch.float32)
    assert {tensor.dtype for tensor in asked.parameters()} == {torch.float32}
    assert all(
        torch.equal(a, m.float())
        for a, m in zip(asked.parameters(), model.parameters(), strict=True)
    )


def test_of_several_precisions_nothing_is_lost(tmp_path: Path, model: witt.WITT) -> None:
    model.half().encoder.float()
    model.save_pretrained(tmp_path / "mixed")
    loaded = witt.WITT.from_pretrained(tmp_path / "mixed")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.float()), name


def test_shipped_weights_in_another_precision() -> None:
    loaded = witt.WITT.from_pretrained("deepjscc_cifar", dtype=torch.float64)
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float64}


def test_push_uploads_the_folder(model: witt.WITT, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: dict[str, Any] = {}

    class Api:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
            pushed[repo_id] = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    model.push_to_hub("someone/tiny")
    files = pushed["someone/tiny"]
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    assert WITTConfig.from_dict(json.loads(files["config.json"])) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"no config\.json"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json is damaged"),
        (
            lambda f: (f / "config.json").write_text('{"name": "x"}'),
            "not a configuration of WITTConfig",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "not the weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "not the weights"),
    ],
    ids=["no config", "cut", "other config", "no weights", "damaged"],
)
def test_what_is_refused(folder: Path, change: Any, message: str) -> None:
    change(folder)
    with pytest.raises(witt.InputError, match=message):
        witt.WITT.from_pretrained(folder)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(witt.InputError, match=r"no such folder.*witt_light"):
        witt.WITT.from_pretrained(tmp_path / "nothing" / "here")
