"""`witt transmit`, as it is typed."""

import json
import math
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cli
import witt
from witt.commands.transmit import output_files
from witt.contract import Codec
from witt.link.conditions import Link
from witt.link.evaluation import image_seed
from witt.link.transmission import transmit
from witt.pictures.inputs import gather


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    return int(stop.value.code or 0)


class Witt:
    """`witt transmit` with the tiny weights and an output folder."""

    def __init__(self, weights: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.weights, self.out, self.capsys = weights, out, capsys

    def __call__(self, *args: object, out: Path | None = None) -> tuple[int, str, str]:
        where = ("--weights", self.weights, "-o", out or self.out)
        code = run("transmit", *where, *args)
        return code, *self.capsys.readouterr()

    def json(self, *args: object, out: Path | None = None) -> list[dict[str, Any]]:
        code, stdout, stderr = self("--json", *args, out=out)
        assert code == 0, stderr
        return json.loads(stdout, parse_constant=pytest.fail)


@pytest.fixture
def drawer(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Witt:
    return Witt(weights, tmp_path / "out", capsys)


@pytest.fixture
def sender(drawer: Witt, monkeypatch: pytest.MonkeyPatch) -> Witt:
    """The same without the seconds that drawing takes; tests/witt/test_figure.py is about it."""
    monkeypatch.setattr("witt.commands.transmit.comparison_png", lambda *_: b"drawn")
    return drawer


def pixels_of(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


def test_files_and_figures(drawer: Witt, picture: Path) -> None:
    over = ("--snr", "-2", "--channel", "rayleigh", "--seed", 7)
    (entry,) = drawer.json(picture, *over, "--side-information", "ideal")
    assert sorted(p.name for p in drawer.out.iterdir()) == [
        "photo_comparison.png",
        "photo_received.png",
    ]
    assert pixels_of(entry["comparison"]).shape[2] >= 3
    error = pixels_of(entry["received"]) - pixels_of(picture)
    assert entry["psnr_db"] == pytest.approx(10 * math.log10(255**2 / np.mean(error**2)))
    assert entry["image"] == str(picture)
    assert (entry["width"], entry["height"]) == (48, 40)
    assert (entry["snr_db"], entry["channel"], entry["fading"]) == (-2.0, "rayleigh", "fast")
    assert (entry["seed"], entry["repeats"], entry["weights"]) == (7, 1, str(drawer.weights))
    assert entry["cbr"] == entry["channel_uses"] / (3 * 48 * 40)
    assert entry["cbr"] <= 1 / 16
    assert entry["header_bits"] == witt.load(drawer.weights).header_bits
    assert entry["psnr_db_p5"] is None
    assert entry["ms_ssim_db"] == pytest.approx(-10 * math.log10(1 - entry["ms_ssim"]))


def test_defaults(
    sender: Witt, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("transmit", picture, "--weights", sender.weights, "--json") == 0
    (entry,) = json.loads(sender.capsys.readouterr().out)
    assert (entry["snr_db"], entry["channel"], entry["seed"]) == (10.0, "awgn", 0)
    assert entry["cbr_requested"] == 1 / 16
    assert Path(entry["received"]) == Path("witt_out/photo_received.png")
    assert (tmp_path / entry["received"]).is_file()


def test_same_seed_same_bytes_whatever_is_beside(
    drawer: Witt, picture: Path, tmp_path: Path
) -> None:
    other = picture.with_name("a.png")
    witt.write_png(other, np.zeros((17, 33, 3), np.uint8))
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for args, out in zip(
        [(picture,), (picture, other), (picture, "--seed", 1)], folders, strict=True
    ):
        drawer.json(*args, "--channel", "rician", "--k-factor", 3, out=out)
    for name in ("photo_received.png", "photo_comparison.png"):
        one, two, three = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert one != three


def test_repeats(sender: Witt, picture: Path, tmp_path: Path) -> None:
    args = (picture, "--channel", "rayleigh", "--fading", "block", "--snr", 3)
    args += ("--side-information", "ideal")
    (one,) = sender.json(*args)
    (many,) = sender.json(*args, "--repeats", 5, out=tmp_path / "many")
    model = witt.load(sender.weights)
    pixels = witt.read_image(picture).pixels
    draws = transmit(pixels, model, Link("rayleigh", "block"), 3.0, 1 / 16, repeats=5)
    psnrs = sorted(draw.figures["psnr_db"] for draw in draws)
    assert many["psnr_db"] == pytest.approx(sum(psnrs) / 5)
    # Linear interpolation between the sorted values: 5 % of 4 steps is 0.2 of the first one.
    assert many["psnr_db_p5"] == pytest.approx(psnrs[0] + 0.2 * (psnrs[1] - psnrs[0]))
    assert many["psnr_db_p95"] == pytest.approx(psnrs[4] - 0.2 * (psnrs[4] - psnrs[3]))
    assert psnrs[4] - psnrs[0] > 0.01
    assert many["repeats"] == 5
    assert many["received_psnr_db"] == one["psnr_db"]
    assert Path(many["received"]).read_bytes() == Path(one["received"]).read_bytes()


def test_each_picture_has_a_channel_of_its_own(sender: Witt, picture: Path, tmp_path: Path) -> None:
    """Copies too; and each is sent again alone with the seed that is given for it."""
    for name in ("p.png", "q.png"):
        shutil.copy(picture, picture.with_name(name))
    args = ("--channel", "rayleigh", "--fading", "block", "--seed", 5)
    entries = sender.json(picture.parent, *args)
    assert len(entries) == 3
    assert entries[0]["seed"] == 5
    assert entries[1]["seed"] == image_seed(5, witt.read_image(picture).pixels)
    assert len({entry["seed"] for entry in entries}) == 3
    assert len({entry["psnr_db"] for entry in entries}) == 3
    assert len({Path(entry["received"]).read_bytes() for entry in entries}) == 3
    for index in (0, 2):
        entry = entries[index]
        again = (entry["image"], *args[:-1], entry["seed"])
        (alone,) = sender.json(*again, out=tmp_path / "alone")
        assert alone["psnr_db"] == entry["psnr_db"]
        assert Path(alone["received"]).read_bytes() == Path(entry["received"]).read_bytes()
    _, out, _ = sender(picture.parent, *args)
    assert all(str(entry["seed"]) in out for entry in entries)


def test_a_picture_without_error_counts_as_100_db(
    sender: Witt, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the mean, the percentiles and what the comparison shows."""
    image = witt.to_tensor(witt.read_image(picture).pixels)
    carry, calls, facts = Codec.carry, [], []

    def carried(*args: Any, **how: Any) -> witt.Transmission:
        calls.append(1)
        sent = carry(*args, **how)
        return sent._replace(image=image) if len(calls) == 1 else sent

    monkeypatch.setattr(Codec, "carry", carried)
    monkeypatch.setattr(
        "witt.commands.transmit.comparison_png", lambda *args: facts.append(args[4]) or b""
    )
    ideal = ("--side-information", "ideal")
    code, out, err = sender("--json", picture, "--repeats", 2, "--snr", 20, *ideal)
    assert code == 0
    (entry,) = json.loads(out)
    assert entry["received_psnr_db"] == 100.0
    low = 2 * entry["psnr_db"] - 100
    assert 0 < low < 60
    assert entry["psnr_db_p95"] == pytest.approx(low + 0.95 * (100 - low))
    assert entry["ms_ssim_db"] > 30
    assert dict(facts[0])["PSNR"] == "100.00 dB"
    assert any("counts as 100 dB" in note for note in entry["notes"])
    assert f"Warning: {picture}: received without error" in err


def test_results_say_what_was_not_trained_for(sender: Witt, picture: Path) -> None:
    code, out, err = sender("--json", picture, "--channel", "rician", "--snr", 30)
    assert code == 0
    notes = json.loads(out)[0]["notes"]
    assert "SNR 30 dB is outside the -2 to 20 dB that witt_light was trained for" in notes
    assert any(note.startswith("Rician K = 6 dB, fast fading is a channel") for note in notes)
    assert all(err.count(note) == 1 for note in notes)
    assert sender.json(picture)[0]["notes"] == []


def test_table_says_what_was_done(sender: Witt, picture: Path) -> None:
    code, out, err = sender(picture, "--repeats", 2)
    assert code == 0
    for part in ("AWGN, SNR 10 dB, CBR 1/16 asked, seed 0", "95 %", "photo.png"):
        assert part in out
    assert "ms-ssim-2scales" in err


def test_folders_are_mirrored(sender: Witt, picture: Path) -> None:
    below = picture.parent / "sub" / "photo.png"
    below.parent.mkdir()
    shutil.copy(picture, below)
    entries = sender.json(picture.parent)
    names = {Path(entry["received"]).relative_to(sender.out).as_posix() for entry in entries}
    assert names == {"photo_received.png", "sub/photo_received.png"}
    assert all(Path(entry["comparison"]).is_file() for entry in entries)


def test_what_an_earlier_run_left_is_no_input(sender: Witt, picture: Path) -> None:
    inside = picture.parent / "out"
    for _ in range(2):
        assert len(sender.json(picture.parent, out=inside)) == 1


def test_an_input_is_never_replaced(sender: Witt, picture: Path) -> None:
    victim = picture.with_name("photo_received.png")
    shutil.copy(picture, victim)
    before = victim.read_bytes()
    code, out, err = sender(picture.parent, out=picture.parent)
    assert (code, out) == (2, "")
    assert "photo_received.png: would be replaced, but is an input" in err
    assert victim.read_bytes() == before


def test_unreadable_in_a_folder_is_skipped_by_name(sender: Witt, picture: Path) -> None:
    picture.with_name("bad.png").write_bytes(b"no picture")
    code, out, err = sender("--json", picture.parent)
    assert code == 0
    assert [Path(entry["image"]).name for entry in json.loads(out)] == ["photo.png"]
    assert err.count("bad.png") == 1
    assert "skipped" in err


def test_conversions_are_said_once(sender: Witt, picture: Path) -> None:
    for index in range(5):
        Image.fromarray(np.full((32, 32), 40 * index, np.uint8)).save(
            picture.with_name(f"grey{index}.png")
        )
    code, out, err = sender("--json", picture.parent)
    assert code == 0
    lines = [line for line in err.splitlines() if "grey converted to RGB" in line]
    assert len(lines) == 1
    assert lines[0].startswith("Note: ")
    assert "and 2 more" in lines[0]
    assert [bool(entry["notes"]) for entry in json.loads(out)] == [True] * 5 + [False]


def test_one_pixel(sender: Witt, tmp_path: Path) -> None:
    path = tmp_path / "one [b]$x$.png"  # rich and matplotlib would read markup in this
    witt.write_png(path, np.full((1, 1, 3), 90, np.uint8))
    (entry,) = sender.json(path, "--side-information", "ideal")
    assert entry["channel_uses"] == 1
    assert entry["cbr"] == 1 / 3
    assert (entry["ms_ssim"], entry["ms_ssim_db"]) == (None, None)
    assert entry["ms_ssim_variant"] == "undefined"
    code, out, err = sender(path)
    assert code == 0
    assert "one [b]$x$.png" in out
    assert "cannot be sent at CBR 0.0625" in err
    assert "cannot be sent at CBR 0.0625" in entry["notes"][0]
    assert f"too small for MS-SSIM: {path}" in err
    assert "another is given" not in err


def _damage(weights: Path, folder: Path) -> Path:
    data = bytearray(weights.read_bytes())
    data[-5] ^= 255
    path = folder / "damaged.safetensors"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["{dir}/missing.png"], "missing.png: no such file"),
        (["{dir}/empty.png"], "empty.png: is empty"),
        (["{dir}/text.png"], "text.png: is not a picture"),
        (["{dir}/cut.png"], "cut.png: is damaged"),
        (["{picture}", "{dir}/text.png"], "text.png: is not a picture"),
        (["{dir}/nothing"], "nothing: no pictures"),
        (["{dir}/bad"], "bad: no picture in this folder can be read"),
        (["{picture}", "{dir}/bad"], "bad: no picture in this folder can be read"),
        (["{dir}/huge.png"], "megapixels, and the limit is 50.0"),
        (["{picture}", "--snr", "nan"], "'nan' is not an SNR"),
        (["{picture}", "--snr", "inf"], "'inf' is not an SNR"),
        (["{picture}", "--snr", "loud"], "'loud' is not an SNR"),
        (["{picture}", "--cbr", "1/2"], "CBR 0.5 is not served by witt_light: choose 0.02083 to"),
        (["{picture}", "--cbr", "1/0"], "'1/0' is not a CBR"),
        (["{picture}", "--cbr", "-1/16"], "'-1/16' is not a CBR"),
        (["{picture}", "--channel", "laser"], "'laser'"),
        (
            ["{picture}", "--channel", "rayleigh", "--fading", "fast", "--coherence", "4"],
            "one for 4",
        ),
        (["{picture}", "--channel", "rician", "--k-factor", "nan"], "nan is not a K factor"),
        (["{picture}", "--seed", "-1"], "'-1' is not a seed"),
        (["{picture}", "--seed", str(2**63)], "is not a seed"),
        (["{picture}", "--repeats", "0"], "0"),
        (["{picture}", "--weights", "witt_lihgt"], "witt_lihgt: no such weights"),
        (["{picture}", "--weights", "{dir}/text.png"], "text.png: not a safetensors file"),
        (["{picture}", "--weights", "{dir}/damaged.safetensors"], "hash"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    args: list[str], named: str, sender: Witt, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:-60])
    (tmp_path / "nothing").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"hello")
    # The header alone says how large it is: 50,001 by 1,000 pixels.
    header = bytearray(picture.read_bytes())
    header[16:24] = (50_001).to_bytes(4, "big") + (1000).to_bytes(4, "big")
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(header)
    _damage(sender.weights, tmp_path)
    filled = [arg.format(dir=tmp_path, picture=picture) for arg in args]
    code, out, err = sender(*filled)
    assert (code, out) == (2, "")
    errors = [line for line in err.splitlines() if not line.startswith("Warning: ")]
    assert len(errors) == 1
    assert errors[0].startswith("Error: ")
    assert named in errors[0]
    assert not sender.out.exists()


def test_output_that_is_a_file(sender: Witt, picture: Path) -> None:
    code, out, err = sender(picture, out=picture)
    assert (code, out) == (2, "")
    assert "is a file, not a folder" in err


def test_names_too_long_for_an_output(picture: Path, tmp_path: Path) -> None:
    long = picture.with_name("x" * 245 + ".png")
    shutil.copy(picture, long)
    with pytest.raises(witt.InputError, match="too long"):
        output_files(gather([long]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_metrics(sender: Witt, picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def bias(image, reference):\n    return (image - reference).mean(dim=(1, 2, 3)).abs()\n"
        "bias.label, bias.higher_is_better = 'Bias', False\n"
    )
    words = (picture, "--repeats", 2, "--metric", f"{file}:bias,psnr")
    (entry,) = sender.json(*words)
    error = (pixels_of(entry["received"]) - pixels_of(picture)) / 255
    assert entry["received_bias"] == pytest.approx(abs(error.mean()), rel=1e-4)
    low = entry["bias_p5"]
    assert low < entry["bias"] < entry["bias_p95"]
    assert entry["bias"] == pytest.approx((low + entry["bias_p95"]) / 2)  # of two draws
    assert "psnr_db" in entry
    assert not [key for key in entry if "ms_ssim" in key]
    code, out, _ = sender(*words)
    assert code == 0
    assert f"{entry['bias']:.4f}" in out
    (line,) = [line for line in out.splitlines() if "Bias" in line]
    assert line.split()[1:5] == ["Bias", "5", "%", "95"]
    assert "MS-SSIM" not in out
