"""`witt evaluate`, as it is typed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cli
import witt
from witt.commands import evaluation_file
from witt.contract import Transmission
from witt.link import evaluation
from witt.link.evaluation import image_seed


class Evaluate:
    """`witt evaluate` with the tiny weights on a folder of two pictures."""

    def __init__(self, weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.weights, self.folder, self.capsys = weights, folder, capsys

    def __call__(self, *args: object) -> tuple[int, str, str]:
        words = ("evaluate", self.folder, "--weights", self.weights, *args)
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        return int(stop.value.code or 0), *self.capsys.readouterr()

    def json(self, *args: object) -> dict[str, Any]:
        code, out, err = self("--json", *args)
        assert code == 0, err
        return json.loads(out, parse_constant=pytest.fail)


@pytest.fixture
def evaluate(weights: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    witt.write_png(picture.with_name("second.png"), np.full((32, 16, 3), 60, np.uint8))
    return Evaluate(weights, picture.parent, capsys)


@pytest.fixture
def quick(evaluate: Evaluate, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """The same with a few convolutions, which take no time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model("deepjscc")
    evaluate.weights = tmp_path_factory.mktemp("cnn") / "cnn.safetensors"
    witt.save_weights(evaluate.weights, model, {"config": {"channel": ["awgn"]}})
    return evaluate


def test_means_are_those_of_the_pictures(evaluate: Evaluate) -> None:
    record = evaluate.json("--snr", "0:2", "--cbr", "1/16,1/48", "--channel", "awgn,rayleigh")
    assert record["format"] == "witt-evaluation-2"
    cells = [(r["channel"], r["cbr_requested"], r["snr_db"]) for r in record["results"]]
    expected = [
        (channel, cbr, snr)
        for channel in ("awgn", "rayleigh")
        for cbr in (1 / 16, 1 / 48)
        for snr in (0.0, 1.0, 2.0)
    ]
    assert cells == expected
    for result in record["results"]:
        for name in ("psnr_db", "ms_ssim", "ms_ssim_db", "cbr"):
            values = [entry[name] for entry in result["images"]]
            assert len(values) == record["images"] == 2
            assert result[name] == pytest.approx(sum(values) / 2, rel=1e-12)
        for entry in result["images"]:
            assert entry["cbr"] == entry["channel_uses"] / (3 * entry["width"] * entry["height"])


def test_a_cell_does_not_depend_on_the_lists(evaluate: Evaluate) -> None:
    many = evaluate.json("--snr", "1,4", "--cbr", "1/16,1/24", "--channel", "awgn,rician,rayleigh")
    (alone,) = evaluate.json("--snr", "4", "--cbr", "1/24", "--channel", "rayleigh", "--limit", 1)[
        "results"
    ]
    (same,) = [
        r
        for r in many["results"]
        if (r["channel"], r["cbr_label"], r["snr_db"]) == ("rayleigh", "1/24", 4.0)
    ]
    assert len(alone["images"]) == 1
    timeless = [{**entry, "seconds": 0} for entry in (alone["images"][0], same["images"][0])]
    assert timeless[0] == timeless[1]


def test_transmit_gives_the_same_picture(evaluate: Evaluate, tmp_path: Path) -> None:
    args = ("--snr", "4", "--channel", "rayleigh", "--coherence", 8)
    entry = evaluate.json(*args)["results"][0]["images"][0]
    words = ["transmit", entry["image"], *args, "--seed", entry["seed"], "--json"]
    words += ["--weights", evaluate.weights, "-o", tmp_path / "out"]
    with pytest.raises(SystemExit):
        cli.main([str(word) for word in words])
    (sent,) = json.loads(evaluate.capsys.readouterr().out)
    for name in ("psnr_db", "ms_ssim", "cbr", "channel_uses", "width", "height"):
        assert sent[name] == entry[name]


def test_pictures_get_noise_of_their_own() -> None:
    one, two = np.zeros((2, 4, 3), np.uint8), np.zeros((4, 2, 3), np.uint8)
    seeds = {image_seed(0, one), image_seed(0, two), image_seed(1, one), image_seed(0, one + 1)}
    assert len(seeds) == 4
    assert image_seed(0, one) == image_seed(0, one.copy())
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_file_and_table(evaluate: Evaluate, tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    code, out, err = evaluate("--snr", "-2:2:2", "--no-ms-ssim", "--out", path)
    assert code == 0, err
    record = json.loads(path.read_text())
    assert record["config"] == json.loads(json.dumps(witt.load(evaluate.weights).config.to_dict()))
    assert record["seed"] == 0
    assert len(record["weights"]["sha256"]) == 64
    assert "ms_ssim" not in record["results"][0]
    assert [told["key"] for told in record["metrics"]] == ["psnr_db"]
    assert "MS-SSIM" not in out
    for result in record["results"]:
        assert f"{result['psnr_db']:.2f}" in out
    assert "-2 " in out
    assert list(path.parent.iterdir()) == [path]


def test_variants_of_ms_ssim_are_named(evaluate: Evaluate) -> None:
    _, out, err = evaluate("--snr", "1")
    assert "MS-SSIM dB" in out
    assert "ms-ssim-2scales (1)" in err
    assert "ms-ssim-1scale (1)" in err


def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat pictures arrive without error."""
    send = evaluation.transmit_as

    def sent(profile: Any, model: Any, image: Any, *args: Any, **how: Any) -> Transmission:
        arrived = send(profile, model, image, *args, **how)
        return arrived._replace(image=image) if image.std() == 0 else arrived

    monkeypatch.setattr(evaluation, "transmit_as", sent)


@pytest.mark.parametrize("profile", ["ours", "published"])
def test_a_picture_without_error_counts_as_100_db(
    profile: str, quick: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    perfect(monkeypatch)
    flat = quick.folder / "flat.png"
    witt.write_png(flat, np.full((32, 32, 3), 127, np.uint8))
    (quick.folder / "second.png").unlink()
    ideal = ("--side-information", "ideal")
    code, out, err = quick("--json", "--snr", 20, "--profile", profile, *ideal)
    assert code == 0, err
    record = json.loads(out)
    (result,) = record["results"]
    flat_one, photo = result["images"]
    assert (flat_one["psnr_db"], flat_one["ms_ssim_db"]) == (100.0, 60.0)
    assert result["psnr_db"] == pytest.approx((100 + photo["psnr_db"]) / 2, rel=1e-12)
    assert result["ms_ssim_db"] == pytest.approx((60 + photo["ms_ssim_db"]) / 2, rel=1e-12)
    (note,) = [note for note in record["notes"] if "100 dB" in note]
    assert note.startswith(f"{flat}: received without error")
    assert f"Warning: {note}" in err


def test_pictures_without_ms_ssim_are_named(quick: Evaluate) -> None:
    witt.write_png(quick.folder / "dot.png", np.full((1, 1, 3), 127, np.uint8))
    code, out, err = quick("--json", "--snr", 1, "--limit", 2)
    assert code == 0
    record = json.loads(out)
    (result,) = record["results"]
    assert (result["ms_ssim"], result["ms_ssim_db"]) == (None, None)
    (line,) = [note for note in record["notes"] if "too small for MS-SSIM" in note]
    assert line.endswith(f"no mean: {quick.folder / 'dot.png'}")
    assert line in err
    assert any("1x1 pixels cannot be sent at CBR 0.0625" in note for note in record["notes"])


def test_results_say_what_was_not_trained_for(evaluate: Evaluate) -> None:
    code, out, err = evaluate("--json", "--snr", "1,30", "--channel", "awgn,rayleigh")
    assert code == 0
    notes = json.loads(out)["notes"]
    assert "SNR 30 dB is outside the -2 to 20 dB that witt_light was trained for" in notes
    (channel,) = [note for note in notes if note.startswith("Rayleigh, fast fading")]
    assert channel.endswith("it knows AWGN")
    assert all(err.count(note) == 1 for note in notes)
    assert not [n for n in evaluate.json("--snr", "1,20")["notes"] if "trained for" in n]


class Sends:
    """Counts what is sent, and presses Ctrl-C before number `stop`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.stop = 0, -1
        self.watch: Callable[[], None] = lambda: None
        self._send = evaluation.send_batch
        monkeypatch.setattr(evaluation, "send_batch", self)

    def __call__(self, *args: Any) -> Any:
        self.watch()
        if self.count == self.stop:
            raise KeyboardInterrupt
        self.count += 1
        return self._send(*args)

    def since(self) -> int:
        """How many there were since this was asked."""
        count, self.count, self.stop = self.count, 0, -1
        return count


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> Sends:
    return Sends(monkeypatch)


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    for result in record["results"]:
        result["seconds"] = 0
        for entry in result["images"]:
            entry["seconds"] = 0
    return {**record, "command": ""}


ARGS = ("--snr", "1,4,7", "--channel", "awgn,rician")


def test_ctrl_c_keeps_what_is_finished(quick: Evaluate, sends: Sends, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    whole = quick.json(*ARGS)
    assert whole["complete"]
    assert sends.since() == 12
    sends.stop = 8
    code, out, err = quick(*ARGS, "-o", path)
    assert (code, out) == (2, "")
    assert f"Error: interrupted: {path} keeps what is finished (67%); the same command" in err
    record = json.loads(path.read_text())
    assert not record["complete"]
    assert [len(result["images"]) for result in record["results"]] == [2, 2, 1, 1, 1, 1]
    assert sends.since() == 8
    code, out, err = quick(*ARGS, "-o", path, "--json")
    assert code == 0
    assert "going on from what is finished in it" in err
    assert sends.since() == 4
    assert timeless(json.loads(out)) == timeless(whole)
    assert timeless(json.loads(path.read_text())) == timeless(whole)
    assert {entry.name for entry in tmp_path.iterdir()} == {"in", "x.json"}
    # A finished file is measured anew.
    assert quick(*ARGS, "-o", path)[0] == 0
    assert sends.since() == 12


@pytest.mark.parametrize(
    ("change", "expected"),
    [("none", 4), ("seed", 12), ("ms-ssim", 12), ("picture", 10), ("weights", 12), ("snr", 3)],
)
def test_only_the_same_is_continued(
    change: str, expected: int, quick: Evaluate, sends: Sends, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    sends.stop = 8
    assert quick(*ARGS, "-o", path)[0] == 2
    sends.since()
    more: list[object] = []
    if change == "seed":
        more = ["--seed", 1]
    elif change == "ms-ssim":
        more = ["--no-ms-ssim"]
    elif change == "snr":  # Rician at 1 dB is there for the first picture
        more = ["--snr", "1,9", "--channel", "rician"]
    elif change == "weights":
        model, training = witt.load_weights(quick.weights)
        quick.weights = tmp_path / "w.safetensors"
        witt.save_weights(quick.weights, model, {**training, "steps": 8})
    elif change == "picture":  # the other one has 2 of its 6 conditions
        pixels = witt.read_image(quick.folder / "photo.png").pixels.copy()
        pixels[0, 0, 0] ^= 1
        witt.write_png(quick.folder / "photo.png", pixels)
    assert quick(*ARGS, "-o", path, *more)[0] == 0
    assert sends.since() == expected
    assert json.loads(path.read_text())["complete"]


def test_the_file_grows(
    quick: Evaluate, sends: Sends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_file, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(evaluation_file, "SAVE_SHARE", 1e9)
    path = tmp_path / "x.json"
    sizes = []

    def watch() -> None:
        if path.exists():
            results = json.loads(path.read_text())["results"]
            sizes.append(sum(len(result["images"]) for result in results))

    sends.watch = watch
    assert quick("--snr", "1,4", "-o", path)[0] == 0
    assert sizes == [1, 2, 3]


def test_an_early_ctrl_c_leaves_the_file_alone(
    quick: Evaluate, sends: Sends, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    sends.stop = 0
    code, _, err = quick("-o", path)
    assert (code, err.splitlines()[-1]) == (130, "Interrupted.")
    assert path.read_text() == "old"


HOLD = """
import sys
from pathlib import Path
from witt.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_writes_a_file(quick: Evaluate, sends: Sends, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    words = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        code, out, err = quick("--snr", 1, "-o", path)
        other.kill()
    assert (code, out) == (2, "")
    assert "another witt process is writing it" in err
    assert not path.exists()
    assert sends.since() == 0
    assert quick("--snr", 1, "-o", path)[0] == 0


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--snr", "nan"], "'nan' is not an SNR"),
        (["--cbr", "1/16,1/2"], "CBR 0.5 is not served"),
        (["--channel", "awgn,laser"], "unknown channel 'laser'"),
        (["-o", "{folder}"], "is a folder"),
        (["-o", "{folder}/photo.png"], "is an input"),
        (["-o", "{folder}/photo.png/x.json"], "photo.png"),
        (["--limit", "0"], "0"),
    ],
)
def test_bad_input(args: list[str], named: str, evaluate: Evaluate) -> None:
    before = {path: path.read_bytes() for path in evaluate.folder.iterdir()}
    code, out, err = evaluate(*(arg.format(folder=evaluate.folder) for arg in args))
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert {path: path.read_bytes() for path in evaluate.folder.iterdir()} == before


METRICS_FILE = """
def darkness(image, reference):
    return 1 - image.mean(dim=(1, 2, 3))
darkness.label = "Darkness"
darkness.higher_is_better = False

def picky(image, reference):
    if image.shape[2] == 32:
        raise ValueError("not this one")
    return image.mean(dim=(1, 2, 3))
"""


def test_metrics_of_ones_own(quick: Evaluate, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(METRICS_FILE)
    names = f"psnr,{file}:darkness,ssim,{file}:picky"
    code, out, err = quick("--snr", "1,7", "--metric", names, "--json")
    assert code == 0, err
    record = json.loads(out)
    assert [(m["key"], m["label"], m["higher_is_better"]) for m in record["metrics"]] == [
        ("psnr_db", "PSNR dB", True),
        ("darkness", "Darkness", False),
        ("ssim", "SSIM", True),
        ("picky", "picky", True),
    ]
    for result in record["results"]:
        assert "ms_ssim_db" not in result
        for key in ("psnr_db", "darkness", "ssim"):
            values = [entry[key] for entry in result["images"]]
            assert result[key] == pytest.approx(np.mean(values), rel=1e-12)
            assert f"{result[key]:.{2 if key == 'psnr_db' else 4}f}" in err
        small, photo = result["images"][1], result["images"][0]
        assert (small["height"], photo["height"]) == (32, 40)
        assert small["picky"] is None
        assert small["reasons"] == {"picky": "ValueError: not this one"}
        assert 0 < photo["picky"] < 1
        assert result["picky"] is None
    # Once, though there are two conditions.
    said = f"picky failed at {quick.folder / 'second.png'}: ValueError: not this one"
    assert err.count(said) == 1
    assert said in record["notes"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("psnr,laser", "unknown metric 'laser': choose from psnr, ms-ssim, ssim, lpips"),
        ("{tmp}/none.py:x", "none.py: no such file"),
        ("ms-ssim", "no metric is left"),
        (",", "no metric is left"),
    ],
)
def test_metrics_that_there_are_not(names: str, said: str, quick: Evaluate, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    code, out, err = quick("--metric", names.format(tmp=tmp_path), "--no-ms-ssim", "-o", path)
    assert (code, out) == (2, "")
    assert said in err
    assert not path.exists()
