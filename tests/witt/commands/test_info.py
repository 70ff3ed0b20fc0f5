"""`witt info`: what it counts, and what it says of a weights file."""

import json
from pathlib import Path

import pytest

import cli
import witt
from witt.codecs.backbones import FRAMES, backbone_configs
from witt.codecs.presets import CONFIGS
from witt.commands.info import PURPOSE, _range, cost
from witt.training.start import base_codec


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["info", *(str(arg) for arg in args)])
    return int(stop.value.code or 0), *capsys.readouterr()


def test_cost_of_the_published_model() -> None:
    """28.2 M parameters, and 70.6 GFLOP at 256×256: counted on the published code."""
    parameters, flops_per_pixel = cost(base_codec("witt_base", {}, None))
    assert round(parameters / 1e6, 1) == 28.2
    assert round(flops_per_pixel * 256**2 / 1e9, 1) == 70.6


def test_cost_of_a_block_by_hand() -> None:
    """witt_small has 4 blocks fewer than witt_base in the third stage of encoder and decoder.

    A block of width C takes, for each token, 12 C² multiply-adds in its four linear layers (3, 1,
    4 and 4 C²) and 2 C for each of the 64 tokens of its window. The third stage is 256 wide and
    has one token for 8 × 8 pixels.
    """
    large, small = (
        cost(base_codec(name, {}, None)).flops_per_pixel for name in ("witt_base", "witt_small")
    )
    multiply_adds = 12 * 256**2 + 2 * 64 * 256
    assert large - small == pytest.approx(2 * 4 * 2 * multiply_adds / 64, rel=1e-9)


def test_parameters_are_those_of_the_model() -> None:
    model = witt.create_model("witt_light")
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert cost(model).parameters == expected


def test_every_preset_says_what_it_is_for() -> None:
    assert set(PURPOSE) == set(CONFIGS) - set(backbone_configs()) | set(FRAMES)


def test_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    for name in (
        *PURPOSE,
        *FRAMES["witt_narrow"].mlp_ratio,
        *witt.shipped(),
        "1077",
        "Devices: cpu",
    ):
        assert name in out
    code, out, _ = run(capsys, "--json")
    record = json.loads(out)
    assert set(record["presets"]) == set(CONFIGS)
    assert set(record["weights"]) == set(witt.shipped())
    assert record["presets"]["witt_base"]["kflop_per_pixel"] == 1076.9


def test_one_file(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, weights)
    assert (code, err) == (0, "")
    for part in ("steps", "7", "hours", "0.5", "config: channel", "photos", "16, 24, 32"):
        assert part in out
    code, out, _ = run(capsys, weights, "--json")
    record = json.loads(out)
    assert record["training"]["hours"] == 0.5
    assert record["config"]["dims"] == [16, 24, 32]
    assert record["config"]["served_cbr"] == [1 / 48, 1 / 8]


def test_folders(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run, and of save_pretrained, which keeps no training record."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights.safetensors").write_bytes(weights.read_bytes())
    model, training = witt.load_weights(weights)
    model.save_pretrained(tmp_path / "saved")
    for folder, record in (("run", training), ("saved", {})):
        code, out, err = run(capsys, tmp_path / folder, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["training"] == record
        assert json.loads(out)["config"]["dims"] == [16, 24, 32]
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (2, "")
    assert "the folder has neither weights.safetensors (of witt train)" in err
    assert err.count("\n") == 1


def test_measured_results_beside_a_file_are_shown(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(weights.read_bytes())
    results = {"kodak": {"command": "witt evaluate kodak/", "awgn 1/16": [27.125, 29.5]}}
    (tmp_path / "mine.results.json").write_text(json.dumps(results))
    code, out, _ = run(capsys, copy)
    assert code == 0
    assert "kodak: awgn 1/16" in out
    assert "27.12, 29.5" in out
    assert json.loads(run(capsys, copy, "--json")[1])["results"] == results
    (tmp_path / "mine.results.json").write_text("[27")
    code, out, err = run(capsys, copy)
    assert (code, out) == (2, "")
    assert "mine.results.json: not a JSON file of results" in err


def test_a_file_that_is_no_weights(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, picture)
    assert (code, out) == (2, "")
    assert "not a safetensors file" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("ends", "text"),
    [((1 / 48, 1 / 8), "1/48–1/8"), ((0.0625, 0.0625), "1/16"), ((0.07, 0.5), "0.07–1/2")],
)
def test_range(ends: tuple[float, float], text: str) -> None:
    assert _range(ends) == text
