"""The library from a notebook: evaluation, results and what a transmission says of itself."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import channels
import cli
import witt
from witt.link.given import codec_label, link_of
from witt.link.results import Results, Spread
from witt.pictures.canvas import MARGIN, TITLE

RNG = np.random.default_rng(5)
ONE = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)
TWO = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> witt.Codec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return witt.create_model("deepjscc").eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    witt.write_png(folder / "a.png", ONE)
    witt.write_png(folder / "b.png", TWO)
    return folder


@pytest.fixture
def run(model: witt.Codec, tmp_path: Path) -> Path:
    """A folder as `witt train` leaves it."""
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    witt.save_weights(folder / "weights.safetensors", model, {})
    return folder


def test_the_numbers_are_those_of_the_command(
    folder: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bit for bit, for the same seed; the codec is a run's folder for both."""
    results = witt.evaluate(
        run,
        folder,
        channel=["awgn", channels.Rayleigh(), channels.Rician(3.0, coherence=None)],
        snr=[1, 7],
        cbr=["1/16"],
        metrics=("psnr", "ms-ssim"),
        seed=5,
    )
    with pytest.raises(SystemExit) as stop:
        cli.main(
            f"evaluate {folder} --weights {run} --channel awgn,rayleigh --snr 1,7 --cbr 1/16 "
            "--seed 5 --json".split()
        )
    assert stop.value.code == 0
    record = json.loads(capsys.readouterr().out)
    mine = [r for r in results.results if r["channel"] != "rician"]
    assert len(mine) == len(record["results"]) == 4
    for ours, theirs in zip(mine, record["results"], strict=True):
        assert {k: v for k, v in ours.items() if k not in ("images", "seconds")} == {
            k: v for k, v in theirs.items() if k not in ("images", "seconds")
        }
        for one, other in zip(ours["images"], theirs["images"], strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert results.document["dataset"] == record["dataset"]
    assert {r["fading"] for r in results.results if r["channel"] == "rician"} == {"block"}
    assert {r["codec"] for r in results.results} == {"mine"}


def test_pictures_of_any_kind_are_the_same(folder: Path, model: witt.Codec) -> None:
    """Files, PIL images, arrays and tensors: the noise follows from the pixels."""
    tensor = torch.from_numpy(ONE.copy()).permute(2, 0, 1) / 255
    kinds = [folder / "a.png", str(folder / "a.png"), Image.fromarray(ONE), ONE, tensor]
    means = [
        witt.evaluate(model, kind, snr=4, cbr="1/16").results[0]["psnr_db"]
        for kind in (*kinds, tensor[None], [ONE])
    ]
    assert len(set(means)) == 1
    many = witt.evaluate(model, [TWO, Image.fromarray(ONE), folder], snr=4, cbr="1/16")
    entries = many.results[0]["images"]
    assert [entry["image"] for entry in entries] == [
        "picture-0",
        "picture-1",
        str(folder / "a.png"),
        str(folder / "b.png"),
    ]
    assert entries[1]["psnr_db"] == entries[2]["psnr_db"] == means[0]
    for wrong in (3, [], np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(witt.InputError):
            witt.evaluate(model, wrong)


def test_tensors_of_files_pictures_and_arrays(folder: Path) -> None:
    expected = torch.from_numpy(ONE.copy()).permute(2, 0, 1)[None].float() / 255
    grey = Image.fromarray(ONE[:, :, 0])
    for picture in (ONE, folder / "a.png", str(folder / "a.png"), Image.fromarray(ONE)):
        assert torch.equal(witt.to_tensor(picture), expected)
    assert torch.equal(witt.to_tensor(grey), expected[:, :1].expand(-1, 3, -1, -1))
    assert torch.equal(witt.to_tensor(ONE[:, :, :1].repeat(3, axis=2)), witt.to_tensor(grey))
    with pytest.raises(witt.InputError, match="a path, a PIL image"):
        witt.to_tensor(7)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def results(model: witt.Codec) -> Results:
    def darkness(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return 1 - image.mean(dim=(1, 2, 3))

    darkness.higher_is_better = False  # type: ignore[attr-defined]
    codecs = {"one": model, "other": model}
    return witt.evaluate(
        codecs, [ONE, TWO], snr="1:7:3", metrics=("psnr", darkness), repeats=3, seed=2
    )


def test_table_is_means_and_deviations(results: Results, model: witt.Codec) -> None:
    table = results.table()
    assert table.heads == ("codec", "channel", "CBR", "SNR dB", "PSNR dB", "darkness")
    assert [row[:4] for row in table.rows] == [
        (codec, "AWGN", "1/16", snr) for codec in ("one", "other") for snr in (1.0, 4.0, 7.0)
    ]
    for row, result in zip(table.rows, results.results, strict=True):
        for spread, key in zip(row[4:], ("psnr_db", "darkness"), strict=True):
            values = [entry[key] for entry in result["images"]]
            assert len(values) == 6  # two pictures, three draws
            mean = sum(values) / 6
            assert spread.mean == pytest.approx(mean, rel=1e-12)
            squares = sum((value - mean) ** 2 for value in values)
            assert spread.deviation == pytest.approx(math.sqrt(squares / 5), rel=1e-9)
            assert spread.text(2 if key == "psnr_db" else 4) in str(table)
    # The draws differ, and the first is that of a single one.
    draws = [e["psnr_db"] for e in results.results[0]["images"] if e["image"] == "picture-0"]
    assert len(set(draws)) == 3
    alone = witt.evaluate(model, ONE, snr=1, seed=2).results[0]["psnr_db"]
    assert draws[0] == alone
    assert Spread(31.204, math.nan).text(2) == "31.20"


def test_results_say_what_they_are(results: Results) -> None:
    assert repr(results).startswith("Results(one, other; 2 pictures; 6 conditions; PSNR dB ")
    assert "\n" not in repr(results)
    html = results._repr_html_()
    assert html.count("<tr>") == 7
    for row in results.table().cells():
        assert all(f"<td>{text}</td>" in html for text in row)


def test_lines_are_the_means(results: Results) -> None:
    figure = results.plot("snr")
    panels = figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["PSNR (dB)", "darkness, lower is better"]
    for axes, key in zip(panels, ("psnr_db", "darkness"), strict=True):
        one, other = axes.get_lines()
        assert (one.get_label(), other.get_label()) == ("one", "other")
        assert list(one.get_xdata()) == [1.0, 4.0, 7.0]
        assert list(one.get_ydata()) == [r[key] for r in results.results[:3]]
    assert figure._repr_png_().startswith(b"\x89PNG")
    (axes,) = results.plot("cbr", "darkness").axes
    assert {line.get_label() for line in axes.get_lines()} == {
        f"{codec}, SNR {snr} dB" for codec in ("one", "other") for snr in (1, 4, 7)
    }
    assert axes.get_lines()[0].get_xdata()[0] == results.results[0]["cbr"]
    with pytest.raises(witt.InputError, match="choose from snr, cbr"):
        results.plot("db")
    with pytest.raises(witt.InputError, match="choose from psnr, darkness"):
        results.plot("snr", "ssim")


def test_the_file_is_what_was_saved(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "r.json")
    again = Results.load(tmp_path / "r.json")
    assert again.results == results.results
    assert again.quantities == results.quantities
    assert str(again.table()) == str(results.table())
    for text, said in (("{}", "no result"), ("{", "damaged or cut"), (None, "cannot be read")):
        path = tmp_path / "other.json"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        with pytest.raises(witt.InputError, match=said):
            Results.load(path)
    document = json.loads((tmp_path / "r.json").read_text())
    del document["results"][0]["images"][0]["psnr_db"]
    path.write_text(json.dumps(document))
    with pytest.raises(witt.InputError, match=r"is damaged \(KeyError: 'psnr_db'\)"):
        Results.load(path)


def test_a_data_frame_has_every_draw(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert len(frame) == 2 * 3 * 2 * 3
    means = frame.groupby(["codec", "snr_db"])["psnr_db"].mean()
    assert means["one", 4.0] == pytest.approx(results.results[1]["psnr_db"], rel=1e-12)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(witt.InputError, match="needs pandas: pip install pandas"):
        results.to_pandas()


class Loud(channels.AWGN):
    """Another channel, as an object."""

    label = "Loud"


def test_channels_and_codecs_as_given(model: witt.Codec, run: Path) -> None:
    link = link_of(Loud())
    assert (str(link), link.fades, link.record()["channel"]) == ("Loud", False, "Loud")
    results = witt.evaluate([model], ONE, channel=[Loud(), "awgn"], snr=3)
    loud, awgn = results.results
    assert (loud["channel_label"], awgn["channel_label"]) == ("Loud", "AWGN")
    assert loud["psnr_db"] == awgn["psnr_db"]
    assert link_of(channels.Rayleigh(8)) == witt.link.conditions.Link("rayleigh", "block", 8)
    assert codec_label("runs/mine/weights.safetensors") == "mine"
    assert codec_label("a/b.safetensors") == "b"
    assert codec_label("witt_light") == "witt_light"
    example = Path(__file__).parents[3] / "examples" / "own_codec.py"
    (result,) = witt.evaluate(f"{example}:MyCodec", ONE, snr=40, cbr=1 / 16).results
    assert result["codec"] == "MyCodec"
    (entry,) = result["images"]
    assert entry["cbr"] <= 1 / 16 + entry["uses_on_top"] / ONE.size
    assert entry["side_uses"] == entry["uses_on_top"] > 0
    with pytest.raises(witt.InputError, match="two codecs are called mine"):
        witt.evaluate([run, str(run)], ONE)
    for codecs, said in ((3, "a codec is"), ([], "no codecs"), ("nothing", "no such weights")):
        with pytest.raises(witt.InputError, match=said):
            witt.evaluate(codecs, ONE)
    for how in ({"channel": 3}, {"snr": "loud"}, {"cbr": 2}, {"metrics": "laser"}, {"repeats": 0}):
        with pytest.raises((witt.InputError, ValueError)):
            witt.evaluate(model, ONE, **how)  # type: ignore[arg-type]


def test_a_transmission_says_what_it_is_worth(model: witt.Codec, tmp_path: Path) -> None:
    image = witt.to_tensor(ONE)
    with torch.no_grad():
        sent = model(image, channels.AWGN(), 7.0, 1 / 16)
    uses = sent.symbols.shape[1]
    assert repr(sent) == (
        f"Transmission(1 picture of 48x40, {uses} symbols, CBR {uses / ONE.size:.4g}, "
        f"{sent.header_bits} bits)"
    )
    found = sent.metrics(image)
    assert found["psnr_db"] == float(witt.psnr(sent.image, image))
    assert found["ms_ssim_db"] == float(witt.ms_ssim(sent.image, image).db)
    assert sent.metrics(ONE, "psnr") == {"psnr_db": found["psnr_db"]}
    both = witt.Transmission(sent.image.repeat(2, 1, 1, 1), *sent[1:])
    assert both.metrics(image.repeat(2, 1, 1, 1), "psnr") == {"psnr_db": [found["psnr_db"]] * 2}
    with pytest.raises(witt.InputError, match="the original is"):
        sent.metrics(TWO)


def test_the_comparison_is_that_of_transmit(model: witt.Codec, folder: Path) -> None:
    with torch.no_grad():
        sent = model(witt.to_tensor(ONE), channels.AWGN(), 7.0, 1 / 16)
    shown = sent.show(folder / "a.png")
    shown.save(folder / "c.png")
    with Image.open(folder / "c.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    # The original is in it, below the margin and a title, each pixel as a square of one size.
    first = pixels[MARGIN + TITLE :, MARGIN:]
    sides = range(1, 1 + first.shape[1] // 48)
    larges = [ONE.repeat(side, axis=0).repeat(side, axis=1) for side in sides]
    assert any(np.array_equal(first[: len(large), : large.shape[1]], large) for large in larges)
    assert shown._repr_png_() == (folder / "c.png").read_bytes()
    assert "\n" not in repr(shown)
    with pytest.raises(witt.InputError, match="no picture 1"):
        sent.show(ONE, 1)
