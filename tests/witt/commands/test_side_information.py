"""`--side-information` of transmit and evaluate, as it is typed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cli
import witt
from witt.link import side_link
from witt.metrics.quality import psnr

IDEAL = ("--side-information", "ideal")


@pytest.fixture
def cnn(tmp_path: Path) -> Path:
    """Weights of a few convolutions, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model("deepjscc")
    path = tmp_path / "cnn" / "cnn.safetensors"
    path.parent.mkdir()
    witt.save_weights(path, model, {})
    return path


class Run:
    """A command, its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        return int(stop.value.code or 0), *self.capsys.readouterr()

    def json(self, *words: object) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
def test_evaluate_with_the_header_on_top(channel: str, run: Run, picture: Path, cnn: Path) -> None:
    """The pictures are what they were, and the header is counted."""
    args = ("evaluate", picture, "--weights", cnn, "--snr", 10, "--channel", channel)
    coded, ideal = run.json(*args), run.json(*args, *IDEAL)
    assert (coded["side_information"], ideal["side_information"]) == ("coded", "ideal")
    (now,), (before,) = coded["results"], ideal["results"]
    assert (now["side_information"], before["side_information"]) == ("coded", "ideal")
    assert now["psnr_db"] == before["psnr_db"]
    assert (now["side_information_lost"], before["side_information_lost"]) == (0, 0)
    (one,), (other,) = now["images"], before["images"]
    assert one["side_uses"] == one["uses_on_top"] >= 108
    assert other["side_uses"] == other["uses_on_top"] == 0
    assert one["channel_uses"] == other["channel_uses"] + one["side_uses"]
    assert now["cbr"] == one["channel_uses"] / (3 * 48 * 40)
    assert one["header_bits"] == 24 + 1 + other["header_bits"]
    assert one["side_information_lost"] is False


def test_what_is_lost_is_counted(
    run: Run, picture: Path, cnn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grey at its PSNR is in the mean, and the command says it."""
    witt.write_png(picture.with_name("second.png"), np.full((40, 48, 3), 60, np.uint8))
    receive = side_link.receive_sides
    monkeypatch.setattr(
        side_link,
        "receive_sides",
        lambda rows, codes: [None] if len(calls) else receive(rows, codes),
    )
    calls: list[int] = []
    args = ("evaluate", picture.parent, "--weights", cnn, "--snr", 10)
    before = run.json(*args)
    calls.append(1)
    code, out, err = run(*args, "--json")
    assert code == 0
    record = json.loads(out)
    (result,) = record["results"]
    assert (before["results"][0]["side_information_lost"], result["side_information_lost"]) == (
        0,
        2,
    )
    grey = torch.full((1, 3, 40, 48), 128 / 255)
    expected = [
        float(psnr(grey, witt.to_tensor(witt.read_image(picture.with_name(name)).pixels)))
        for name in ("photo.png", "second.png")
    ]
    assert [entry["psnr_db"] for entry in result["images"]] == pytest.approx(expected, abs=1e-4)
    assert result["psnr_db"] == pytest.approx(sum(expected) / 2, abs=1e-4)
    (note,) = [note for note in record["notes"] if "lost" in note]
    assert note.startswith("the side information of 2 of 2 transmissions was lost")
    assert note in err


@pytest.mark.parametrize("profile", ["published", "both"])
def test_the_published_profile_is_ideal(profile: str, run: Run, picture: Path, cnn: Path) -> None:
    args = ("evaluate", picture, "--weights", cnn, "--snr", 10, "--profile", profile)
    record = run.json(*args)
    assert record["side_information"] == "ideal"
    assert {result["side_information"] for result in record["results"]} == {"ideal"}
    code, _, err = run(*args, "--side-information", "coded")
    assert code == 2
    assert f"coded: goes with --profile ours only, not {profile}" in err


def test_a_file_of_the_other_way_is_not_continued(
    run: Run, picture: Path, cnn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e.json"
    args = ("evaluate", picture, "--weights", cnn, "--snr", 10, "-o", out)
    assert run(*args, *IDEAL)[0] == 0
    document = json.loads(out.read_text())
    out.write_text(json.dumps({**document, "complete": False}))
    code, _, err = run(*args)
    assert code == 0
    assert "going on" not in err
    assert json.loads(out.read_text())["side_information"] == "coded"


def test_transmit(run: Run, picture: Path, cnn: Path, tmp_path: Path) -> None:
    args = ("transmit", picture, "--weights", cnn, "-o", tmp_path / "out")
    (entry,) = run.json(*args)
    assert entry["side_information"] == "coded"
    assert entry["side_information_lost"] == 0
    uses = entry["side_uses"]
    assert uses >= 108
    code, out, _ = run(*args)
    assert code == 0
    assert "Side" in out
    assert f" {uses:.0f} " in out
    assert "ideal" not in out
    (before,) = run.json(*args, *IDEAL)
    assert before["psnr_db"] == entry["psnr_db"]
    assert entry["channel_uses"] == before["channel_uses"] + uses
    assert (before["side_information"], before["side_uses"]) == ("ideal", 0)
    assert "ideal side information" in " ".join(run(*args, *IDEAL)[1].split())


def test_transmit_that_loses_it(
    run: Run, picture: Path, cnn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = iter([True, False, True])
    receive = side_link.receive_sides
    monkeypatch.setattr(
        side_link,
        "receive_sides",
        lambda rows, codes: receive(rows, codes) if next(draws) else [None],
    )
    args = ("transmit", picture, "--weights", cnn, "-o", tmp_path / "out", "--repeats", 3)
    code, out, err = run(*args, "--json")
    assert code == 0
    (entry,) = json.loads(out)
    assert entry["side_information_lost"] == 1
    assert "(1 of 3 lost)" in " ".join(err.split())
    assert "Warning: the side information of 1 of 3 transmissions was lost" in err
    assert any("1 of 3" in note for note in entry["notes"])


def test_of_classified_codes_it_is_inside(run: Run, weights: Path, tmp_path: Path) -> None:
    y, x = np.mgrid[0:160, 0:176]
    pixels = np.stack([x, y, (3 * x + y) % 256], axis=2).astype(np.uint8)
    witt.write_png(tmp_path / "p.png", pixels)
    args = ("evaluate", tmp_path / "p.png", "--weights", weights, "--snr", 13)
    (coded,), (ideal,) = (run.json(*args, *more)["results"][0]["images"] for more in ((), IDEAL))
    assert coded["uses_on_top"] == 0
    assert coded["channel_uses"] == ideal["channel_uses"]
    assert coded["side_uses"] >= 108
