"""`witt adapt-model`: what few steps do to weights, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from click.testing import CliRunner, Result

import witt
from witt.commands.adapt_model import command, said
from witt.commands.evaluate import command as evaluate
from witt.store.weights import load_weights, stored_dtype
from witt.training.adaptation import open_domain

TRAINED = {"steps": 7, "hours": 0.5, "config": {"channel": ["awgn", "rayleigh"]}}


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of a few convolutions, in half precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model("deepjscc", channels=12, rate_adaptive=True)
    path = tmp_path_factory.mktemp("cnn") / "cnn.safetensors"
    witt.save_weights(path, model, TRAINED)
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain of ramps: eight pictures of 32 by 32 pixels."""
    folder = tmp_path_factory.mktemp("toy")
    for number in range(8):
        y, x = np.mgrid[0:32, 0:32]
        ramp = (20 + 10 * number + 3 * x + (number % 3) * y).clip(0, 255)
        pixels = np.repeat(ramp[:, :, None], 3, axis=2).astype(np.uint8)
        witt.write_png(folder / f"{number}.png", np.ascontiguousarray(pixels))
    return folder


def adapt(weights: object, data: Path, *arguments: object) -> Result:
    given = ("--data", data, "--cbr", "1/12", "--snr", "7", "--batch", 4, "--device", "cpu")
    words = [weights, *given, *arguments]
    return CliRunner().invoke(command, [str(word) for word in words])


def document_of(found: Result) -> dict[str, Any]:
    assert found.exit_code == 0, (found.output, found.exception)
    result: dict[str, Any] = json.loads(found.stdout)
    return result


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_no_steps_return_the_weights_bit_for_bit(
    cnn: Path, toy: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    """Also those of an import, which keeps more digits; the record of the training stays too."""
    source, out = tmp_path / "source.safetensors", tmp_path / "same.safetensors"
    model = load_weights(cnn)[0]
    for parameter in model.parameters():
        parameter.data += 1e-5  # which half precision does not keep
    witt.save_weights(source, model, TRAINED, dtype=dtype)
    assert stored_dtype(source) == dtype
    found = adapt(source, toy, "--steps", 0, "-o", out)
    assert found.exit_code == 0, found.output
    assert "Nothing has changed." in found.output
    first, second = (safetensors.safe_open(path, framework="pt") for path in (source, out))
    assert second.metadata() == first.metadata()  # with the hash, whatever their order in the file
    assert sorted(second.keys()) == sorted(first.keys())
    for name in first.keys():  # noqa: SIM118
        kept = second.get_tensor(name)
        assert kept.dtype == dtype
        assert torch.equal(kept, first.get_tensor(name))


def test_a_toy_domain_improves(cnn: Path, toy: Path, tmp_path: Path) -> None:
    """What is measured is what witt evaluate measures with the files of before and after."""
    out = tmp_path / "adapted.safetensors"
    given = ("--steps", 60, "--lr", 0.01, "-o", out, "--channel", "awgn,rayleigh")
    document = document_of(adapt(cnn, toy, *given, "--json"))
    assert document["gain_db"] > 1
    assert document["adapted_on"]["names"] == [f"{n}.png" for n in range(6)]
    assert document["measured_on"]["names"] == ["6.png", "7.png"]
    assert [result["channel"] for result in document["results"]] == ["awgn", "rayleigh"]
    held = [str(toy / name) for name in document["measured_on"]["names"]]
    for weights, when in ((cnn, "before"), (out, "after")):
        words = [*held, "--weights", str(weights), "--cbr", "1/12", "--snr", "7", "--no-ms-ssim"]
        alone = CliRunner().invoke(evaluate, [*words, "--channel", "awgn,rayleigh", "--json"])
        assert alone.exit_code == 0, (alone.output, alone.exception)
        expected = [each["psnr_db"] for each in json.loads(alone.stdout)["results"]]
        measured = [result[f"{when}_psnr_db"] for result in document["results"]]
        assert measured == pytest.approx(expected, abs=1e-6)
    adapted, record = load_weights(out)
    assert adapted.plain_config() == load_weights(cnn)[0].plain_config()  # serves what it served
    assert record["before"] == TRAINED
    assert (record["steps"], record["total_steps"]) == (60, 67)
    assert record["adaptation"]["gain_db"] == document["gain_db"]


def test_the_same_seed_gives_the_same_bytes(cnn: Path, toy: Path, tmp_path: Path) -> None:
    """But for the time that it took, which the record has; and another seed other weights."""

    def state(name: str, seed: int) -> dict[str, torch.Tensor]:
        out = tmp_path / name
        assert adapt(cnn, toy, "--steps", 2, "--seed", seed, "-o", out).exit_code == 0
        weights: dict[str, torch.Tensor] = load_weights(out)[0].state_dict()
        return weights

    one, same, other = (
        state(name, seed) for name, seed in (("a.safetensors", 3), ("b.safetensors", 3),
                                             ("c.safetensors", 4))
    )  # fmt: skip
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_it_says_when_it_got_worse(cnn: Path, toy: Path, tmp_path: Path) -> None:
    """At an absurd learning rate; no weights are written where none were asked for."""
    before = sorted(path.name for path in (*toy.iterdir(), *cnn.parent.iterdir()))
    given = ("--steps", 3, "--lr", 0.003)
    trained = tmp_path / "t.safetensors"
    assert adapt(cnn, toy, "--steps", 20, "--lr", 0.003, "-o", trained).exit_code == 0
    found = adapt(trained, toy, "--steps", 3, "--lr", 3)
    assert found.exit_code == 0, found.output
    assert "WORSE by" in found.output
    assert "Weights:" not in found.output
    assert sorted(path.name for path in (*toy.iterdir(), *cnn.parent.iterdir())) == before
    assert adapt(cnn, toy, *given).exit_code == 0


def test_what_is_said() -> None:
    def results(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
        images = [{"before_psnr_db": a, "after_psnr_db": b} for a, b in pairs]
        return [{"images": images}]

    assert said(0.0, results((20, 20))) == "Nothing has changed."
    better = said(0.5, results((20, 21), (20, 20)))
    assert better == "Better by 0.50 dB on average; 1 of 2 transmissions are better."
    assert said(-0.5, results((20, 19))).startswith("WORSE by 0.50 dB on average; 0 of 1")


def test_pictures_to_measure_on(toy: Path, picture: Path) -> None:
    """The last quarter, rounded up, or those of --val; never one of the few."""
    few, held = open_domain([str(toy)], [], 5, None)
    assert [len(few), len(held)] == [3, 2]
    few, held = open_domain([str(toy)], [str(picture)], 5, 1)
    assert [len(few), str(held[0])] == [5, str(picture)]
    with pytest.raises(witt.InputError, match="what is measured must be held out"):
        open_domain([str(toy)], [str(toy)], 1, None)
    with pytest.raises(witt.InputError, match=r"none can be held out: give --val"):
        open_domain([str(picture)], [], None, None)


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """Two rows of 32 CIFAR-10 training pictures, and a row of test pictures."""
    from PIL import Image

    folder = tmp_path / "cifar"
    folder.mkdir()
    random = np.random.default_rng(0)
    for part, rows in (("train", 2), ("test", 1)):
        pixels = random.integers(0, 256, (32 * rows, 1024, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{part}_00.webp", lossless=True)
        np.save(folder / f"{part}_labels.npy", np.arange(32 * rows, dtype=np.uint8) % 10)
    return folder


def test_the_test_set_of_cifar_is_not_touched(sheets: Path) -> None:
    few, held = open_domain([str(sheets)], [str(sheets)], 3, None)
    assert [picture.relative.name for picture in few] == [f"train-{n:05}" for n in range(3)]
    assert [picture.relative.name for picture in held] == [f"train-{n:05}" for n in range(48, 64)]
    named = open_domain([str(sheets)], [f"cifar10-held-out:folder={sheets}"], 3, None)
    assert [each.sha256 for each in named.held_out] == [each.sha256 for each in held]
    assert [each.label for each in named.held_out] == [n % 10 for n in range(48, 64)]
    (sheets / "train_labels.npy").unlink()
    with pytest.raises(witt.InputError, match="only the CIFAR-10 test set is here"):
        open_domain([str(sheets)], [], None, None)
    with pytest.raises(witt.InputError, match="no CIFAR-10 training pictures"):
        open_domain([f"cifar10-held-out:folder={sheets}"], [], None, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--cbr", "1/2"), "CBR 0.5 is not served by deepjscc"),
        (("-o", "out.pt"), "out.pt: weights are kept in a file whose name ends in .safetensors"),
        (("--crop", 30), "--crop 30: it must be a multiple of 4"),
        (("--val", "nowhere"), "nowhere"),
    ],
)
def test_refused_in_one_line(
    cnn: Path, toy: Path, arguments: tuple[object, ...], says: str
) -> None:
    found = adapt(cnn, toy, *arguments)
    assert isinstance(found.exception, witt.InputError), found.output
    assert says in str(found.exception)
    assert "\n" not in str(found.exception)


def test_the_source_is_kept(cnn: Path, toy: Path) -> None:
    before = cnn.read_bytes()
    found = adapt(cnn, toy, "-o", cnn)
    assert "holds the weights to start from; choose another --out" in str(found.exception)
    assert cnn.read_bytes() == before


def test_a_signal_writes_nothing(
    cnn: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from witt.training.run import Run

    real: Callable[..., Any] = Run.train_step

    def interrupted(self: Run, image: torch.Tensor) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(self, image)

    monkeypatch.setattr(Run, "train_step", interrupted)
    found = adapt(cnn, toy, "--steps", 5, "-o", tmp_path / "x.safetensors")
    assert found.exit_code == 130
    assert "stopped: nothing is written" in found.output
    assert not list(tmp_path.glob("*.safetensors"))
