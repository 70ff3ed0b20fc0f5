"""`witt analyse`: what it writes, that figures need the JSON alone, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import witt
from benchmarks.analysis.examples import crops_of, pictures_of
from benchmarks.analysis.layers import PICTURE, RECEIVED
from benchmarks.analysis.sending import named
from benchmarks.analysis.similarity import similarity
from benchmarks.commands.analyse import command
from witt.link.conditions import Link
from witt.report import file_sha256


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


@pytest.fixture(scope="module")
def deepjscc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights without attention, of one CBR."""
    path = tmp_path_factory.mktemp("deepjscc") / "cnn.safetensors"
    witt.save_weights(path, witt.create_model("deepjscc", channels=12), {})
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    witt.write_png(folder / "a.png", pixels)
    return folder


def test_similarity(weights: Path, deepjscc: Path, photo: Path, tmp_path: Path) -> None:
    """A matrix for each SNR; A and A is 1 on the diagonal."""
    out = tmp_path / "out" / "cka.png"
    given = ("--data", photo, "--crop", 16, "--snr", "1,13", "--cbr", "1/8")
    found = run("similarity", weights, weights, *given, "--crops", 9, "-o", out)
    assert found.exit_code == 0, found.output
    document = json.loads(out.with_suffix(".json").read_text())
    assert document["format"] == "witt-similarity-1"
    assert document["dataset"]["pictures"] == 1
    assert (document["crop"], document["crops"], document["cbr"]) == (16, 9, 1 / 8)
    assert [m["weights_sha256"] for m in document["models"]] == [file_sha256(weights)] * 2
    cka = np.array(document["cka"])
    layers = len(document["models"][0]["layers"])
    assert cka.shape == (2, layers, layers)
    assert np.diagonal(cka, axis1=1, axis2=2) == pytest.approx(1)
    assert cka == pytest.approx(cka.transpose(0, 2, 1))
    assert cka.max() <= 1
    off = cka[0][np.triu_indices(layers, 1)]
    assert off.min() < 0.9
    assert out.stat().st_size > 5000


def test_two_models_meet_noise_of_their_own(weights: Path, deepjscc: Path, photo: Path) -> None:
    """A row for each layer of the first. The noise alone makes no two of them alike."""
    crops = crops_of(pictures_of(photo), 16, 9, 0)
    codecs = [named(str(weights)), named(str(deepjscc))]
    found = similarity(codecs, crops, Link(), [-60.0], 1 / 8, 0)
    rows, columns = ([layer["name"] for layer in model["layers"]] for model in found["models"])
    cka = np.array(found["cka"][0])
    assert cka.shape == (len(rows), len(columns))
    assert cka[rows.index(PICTURE), columns.index(PICTURE)] == 1
    # 36 pairs of 9 crops, and as many numbers of noise as each model sends.
    assert abs(cka[rows.index(RECEIVED), columns.index(RECEIVED)]) < 4 / 27**0.5


def test_no_cbr_in_common(weights: Path, tmp_path: Path) -> None:
    dense = tmp_path / "dense.safetensors"
    witt.save_weights(dense, witt.create_model("deepjscc", channels=48), {})
    found = run("similarity", weights, dense, "-o", tmp_path / "x.png")
    assert isinstance(found.exception, witt.InputError)
    assert str(found.exception) == (
        f"there is no CBR that all serve: {weights} 0.02083 to 0.125, {dense} 0.5 to 0.5"
    )


def test_attention(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    y, x = np.mgrid[:128, :256]
    witt.write_png(folder / "b.png", np.stack([x, y, x ^ y], axis=2).astype(np.uint8))
    found = run("attention", weights, "--data", folder, "--snr", 7, "-o", tmp_path / "a.png")
    assert found.exit_code == 0, found.output
    document = json.loads((tmp_path / "a.json").read_text())
    blocks, (distances,) = document["blocks"], document["distance_px"]
    assert [len(heads) for heads in distances] == [block["heads"] for block in blocks]
    assert 0 < document["channel_at"] < len(blocks)
    assert (tmp_path / "a.png").stat().st_size > 5000
    again = run("attention", "--from", tmp_path / "a.json", "-o", tmp_path / "again.png")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_latents(deepjscc: Path, photo: Path, tmp_path: Path) -> None:
    given = ("--data", photo, "--snr", "0:9:3", "-o", tmp_path / "l.svg")
    found = run("latents", deepjscc, *given)
    assert found.exit_code == 0, found.output
    document = json.loads((tmp_path / "l.json").read_text())
    assert document["snr_db"] == [0, 3, 6, 9]
    share = np.array(document["share"])
    assert share.shape == (4, 12)
    assert share.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert (share == share[0]).all()  # it is told no SNR
    assert all(1 <= count <= 12 for count in document["channels_of_90_percent"])
    again = run("latents", "--from", tmp_path / "l.json")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "l.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("similarity", "witt_light"), "name two models, A and B: there are 1"),
        (("latents", "a", "b"), "name one model, A: there are 2"),
        (("latents", "nothing"), "nothing: no such weights file, nor shipped weights"),
        (("latents", "witt_light", "--cbr", "1/2"), "CBR 0.5 is not served by witt_light"),
        (("attention", "deepjscc"), "deepjscc has no Swin blocks, whose attention this looks at"),
        (("latents", "--from", "README.md"), "README.md: cannot be read"),
    ],
)
def test_refused(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    found = run(*arguments, "-o", tmp_path / "x.png")
    assert found.exit_code != 0
    assert message in found.output + str(found.exception)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_command(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"format": "witt-latents-1"}')
    found = run("attention", "--from", tmp_path / "r.json")
    assert isinstance(found.exception, witt.InputError)
    assert "is 'witt-latents-1', and not 'witt-attention-1'" in str(found.exception)
