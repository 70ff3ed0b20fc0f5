"""Sweeps: every cell once, the same from any worker, nothing lost."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.commands.benchmark import cells_of, failed_lines, missing_lines
from benchmarks.schemes.scheme import Sent
from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.execute import begin, estimate, run
from benchmarks.sweep.measure import Measured, Row, columns, measure
from benchmarks.sweep.results import Cell, Results, open_results, read_results
from benchmarks.sweep.sweep import Maker, Plan
from benchmarks.sweep.time_left import Kind, TimeLeft
from benchmarks.sweep.workers import threads_for
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.evaluation import image_seed
from witt.metrics.metric import MS_SSIM, PSNR, Metric
from witt.pictures.images import Pixels


def row_of(*values: float) -> Row:
    """PSNR, MS-SSIM, that in dB and as published, channel uses and CBR."""
    return dict(zip(columns([PSNR, MS_SSIM]), values, strict=True))


LINKS = [Link(), Link("rayleigh")]
SNRS, CBRS = (1.0, 7.0), (1 / 16, 1 / 200)


def plan_of(
    folder: Path,
    make: Maker,
    names: tuple[str, ...] = ("a+noisy", "a+more", "b+noisy"),
    notes: dict[str, str] | None = None,
    snrs: tuple[float, ...] = SNRS,
) -> Plan:
    cells = cells_of(names, LINKS, CBRS, snrs)
    return Plan(open_dataset(folder), names, notes or {}, cells, make, metrics=("psnr",))


def contents(results: Results) -> str:
    """The file without what tells when and where it was made."""
    text = results.path.read_text()
    return text[: text.index('"runs"')] + text[text.index('"cells"') :]


def test_every_picture_at_every_condition(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    plan = plan_of(photos, fake_schemes)
    results = begin(plan, tmp_path / "r.json")
    run(plan, results)
    found = read_results(results.path)
    assert found.cells == plan.cells
    assert len(found.cells) == 3 * 2 * 2 * 2
    assert all(found.finished(cell) for cell in found.cells)
    for cell in found.cells:
        sendable = cell.cbr > 0.01
        assert np.isfinite(found.column(cell, "psnr_db")).all() == sendable
        assert found.info(cell, "header_bits") == [32 if sendable else None] * 4
    # What the scheme itself gives for a picture and its seed is what is in the file.
    pixels = plan.dataset.read(2)
    cell = plan.cells[0]
    (sent,) = plan.schemes["a+noisy"].send(
        [pixels], cell.link, cell.snr_db, cell.cbr, [image_seed(0, pixels)]
    )
    error = (sent.pixels.astype(float) - pixels) ** 2
    expected = 10 * np.log10(255**2 / error.mean())
    assert found.column(cell, "psnr_db")[2] == pytest.approx(expected, abs=1e-4)


def test_the_same_picture_is_measured_once(
    photos: Path, fake_schemes: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fakes are deaf to the CBR here, as a code is above its threshold."""
    calls: list[int] = []

    def counting(
        original: Pixels, sent: Sent, metrics: Sequence[Metric], label: int | None
    ) -> Measured:
        calls.append(sent.channel_uses)
        return measure(original, sent, metrics, label)

    class Deaf:
        name = family = "deaf"

        def record(self) -> dict[str, str]:
            return {"ears": "none"}

        def send(
            self, pictures: Sequence[Pixels], link: Link, snr_db: float, cbr: float, seeds: object
        ) -> list[Sent]:
            return [Sent(p ^ np.uint8(link.fades), round(1000 * cbr), {}) for p in pictures]

    monkeypatch.setattr("benchmarks.sweep.sweep.measure", counting)
    cells = cells_of(["deaf"], LINKS, (1 / 10, 1 / 5), SNRS)
    plan = Plan(open_dataset(photos), ("deaf",), {}, cells, lambda *_: [Deaf()], 0, ("psnr",))
    results = begin(plan, tmp_path / "r.json")
    run(plan, results)
    assert len(calls) == 4 * len(LINKS)
    for cell in cells:
        assert results.column(cell, "channel_uses").tolist() == [1000 * cell.cbr] * 4
        assert results.column(cell, "cbr") == pytest.approx(1000 * cell.cbr / (96 * 100 * 3))
        lossless = 100.0 if not cell.link.fades else 10 * np.log10(255**2)
        assert results.column(cell, "psnr_db") == pytest.approx(lossless)


def test_small_pictures_are_sent_together(cifar: Path, fake_schemes: Maker, tmp_path: Path) -> None:
    plan = plan_of(cifar, fake_schemes, ("a+noisy",))
    results = begin(plan, tmp_path / "r.json")
    run(plan, results)
    assert results.info(plan.cells[0], "together") == [256] * 256 + [44] * 44


def test_going_on_computes_only_what_is_missing(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    notes, path = tmp_path / "notes", tmp_path / "r.json"
    first = plan_of(photos, fake_schemes, ("a+noisy",), {"a+noisy": str(notes)})
    run(first, begin(first, path))
    assert len(notes.read_text().splitlines()) == len(first.cells) * 4
    again = plan_of(photos, fake_schemes, ("a+noisy",), {"a+noisy": str(notes)})
    run(again, begin(again, path))
    assert len(notes.read_text().splitlines()) == len(first.cells) * 4
    wider = plan_of(photos, fake_schemes, ("a+noisy",), {"a+noisy": str(notes)}, snrs=(*SNRS, 20.0))
    run(wider, begin(wider, path))
    new = notes.read_text().splitlines()[len(first.cells) * 4 :]
    assert len(new) == 4 * 4
    assert all(" 20 " in line for line in new)


def test_an_interrupt_keeps_what_is_finished(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    notes, path = tmp_path / "notes", tmp_path / "r.json"
    notes.touch()
    plan = plan_of(photos, fake_schemes, ("a+stopped",), {"a+stopped": str(notes)})
    with pytest.raises(InputError, match=r"interrupted: .*r\.json keeps .*\(9 %\); the same"):
        run(plan, begin(plan, path))
    kept = read_results(path)
    assert sum(kept.is_done(cell, 0) for cell in plan.cells) == 3
    notes.write_text("")
    plan.schemes["a+stopped"].notes = None
    run(plan, begin(plan, path))
    straight = plan_of(photos, fake_schemes, ("a+stopped",))
    run(straight, begin(straight, tmp_path / "straight.json"))
    assert contents(read_results(path)) == contents(read_results(tmp_path / "straight.json"))


def test_estimate_keeps_what_it_measured(photos: Path, fake_schemes: Maker, tmp_path: Path) -> None:
    notes = {name: str(tmp_path / name) for name in ("a+noisy", "b+noisy")}
    plan = plan_of(photos, fake_schemes, ("a+noisy", "b+noisy"), notes)
    results = begin(plan, tmp_path / "r.json")
    assert estimate(plan, results) > 0
    for name in notes:
        assert len(Path(notes[name]).read_text().splitlines()) == 2
    run(plan, results)
    for name in notes:
        assert len(Path(notes[name]).read_text().splitlines()) == 4 * 8
    assert estimate(plan, results) == 0


SendWith = Callable[..., Results]


@pytest.fixture
def send_with(photos: Path, fake_schemes: Maker, tmp_path: Path) -> SendWith:
    """Results, in r.json, of a scheme that sends so, beside one that is well."""

    def send_with(
        send: Callable[..., Any], record: Callable[[], Any] | None = lambda: {"weights": "1"}
    ) -> Results:
        class Own:
            name = family = "own"

            def send(self, *args: Any) -> Any:
                return send(*args)

        own: Any = Own()
        own.record = record
        names = ("own", "a+noisy")
        cells = cells_of(names, [Link()], (1 / 48, 1 / 16), (1.0,))

        def make(*_: object) -> list[Any]:
            return [own, *fake_schemes(["a+noisy"], {})]

        plan = Plan(open_dataset(photos), names, {}, cells, make, metrics=("psnr",))
        results = begin(plan, tmp_path / "r.json")
        run(plan, results)
        return results

    return send_with


def test_more_channel_uses_than_allowed_are_no_result(send_with: SendWith) -> None:
    """A codec that always sends 1/16 has nothing to show at 1/48."""

    def send(pictures: Sequence[Pixels], *_: object) -> list[Sent]:
        return [Sent(p, p.size // 16, {}) for p in pictures]

    results = send_with(send)
    small, fair, *others = results.cells
    assert np.isnan(results.column(small, "psnr_db")).all()
    assert results.info(small, "reason")[0] == (
        "it takes 1,800 channel uses, where CBR 1/48 allows 600"
    )
    assert results.column(small, "channel_uses")[0] == 1800
    assert results.column(fair, "psnr_db").tolist() == [100.0] * 4
    assert all(results.finished(cell) for cell in results.cells)
    assert missing_lines(results, results.cells) == [
        "own cannot send every picture at 1 of 2 conditions, which have no mean: "
        "it takes 1,800 channel uses, where CBR 1/48 allows 600"
    ]
    assert np.isfinite(results.mean(others[1], "psnr_db"))


def test_a_file_of_before_is_not_believed_either(tmp_path: Path) -> None:
    dataset = {"name": "x", "pictures": 2, "sha256": "", "names": None, "sizes": []}
    results = open_results(tmp_path / "r.json", dataset, 0, [PSNR, MS_SSIM])
    cell = Cell("own", Link(), 1.0, 1 / 48)
    results.prepare([cell])
    rows = [row_of(30.0, 0.9, 1.0, 1.0, 5, cbr) for cbr in (round(1 / 48, 9), 1 / 16)]
    results.add(cell, 0, rows, [{}, {}])
    np.testing.assert_array_equal(results.column(cell, "psnr_db"), [30.0, np.nan])
    assert results.column(cell, "cbr")[1] == 1 / 16


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (lambda p: Sent(None, 0, {}), "it gives no reason"),
        (lambda p: Sent(p, 0, {}), "it takes 0 channel uses, where CBR 1/48 allows 600"),
        (lambda p: Sent(None, 0, {"reason": "rain"}), "rain"),
    ],
)
def test_every_missing_picture_has_a_reason(
    send_with: SendWith, sent: Callable[[Pixels], Sent], said: str
) -> None:
    results = send_with(lambda ps, *_: [sent(p) for p in ps])
    assert results.info(results.cells[0], "reason") == [said] * 4


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (lambda pictures, *_: pictures[0] / [], "ValueError: .*"),
        (lambda pictures, *_: [], r"TypeError: it returned 0 results for 1 pictures .*"),
        (lambda ps, *_: [Sent(ps[0] / 255, 9, {})], "TypeError: it returned float64 .*"),
        (lambda ps, *_: [Sent(ps[0], 9.5, {})], "TypeError: 'float' object .* integer .*"),
    ],
)
def test_a_scheme_that_fails_stops_no_other(
    send_with: SendWith, send: Callable[..., Any], said: str
) -> None:
    results = send_with(send)
    again = read_results(results.path)
    for cell in again.cells:
        assert again.finished(cell) == (cell.scheme == "a+noisy")
    assert again.failed(again.cells[2]) is None
    (line,) = failed_lines(again, again.cells)
    assert re.fullmatch(
        rf"own failed at 2 of 2 conditions, which are tried again next time: {said}", line
    )
    assert missing_lines(again, again.cells) == []
    # It is tried again, and the file is as if nothing had been.
    mended = send_with(lambda ps, *_: [Sent(p, 9, {}) for p in ps])
    assert all(mended.finished(cell) for cell in mended.cells)
    assert '"failed"' not in mended.path.read_text()


def test_a_scheme_says_what_its_results_depend_on(send_with: SendWith, tmp_path: Path) -> None:
    def send(pictures: Sequence[Pixels], *_: object) -> list[Sent]:
        return [Sent(p, 9, {}) for p in pictures]

    path = tmp_path / "r.json"
    for record in (None, dict):
        with pytest.raises(InputError, match=r"own: does not say .* give it record\(\)"):
            send_with(send, record=record)
    assert not path.exists()
    send_with(send)
    with pytest.raises(InputError, match=r"another own \(weights '1', not '2'\)"):
        send_with(send, record=lambda: {"weights": "2"})


def test_time_left_by_hand() -> None:
    a, more, b = Kind("a", True), Kind("a", False), Kind("b", True)
    time_left = TimeLeft(Counter({a: 10, more: 40, b: 5}))
    assert np.isnan(time_left.seconds_left())
    time_left.record(a, 2, 6.0)
    # 8 at 3 s; the others of the scheme are not known to be cheaper yet; b is like the mean.
    assert time_left.seconds_left() == pytest.approx(8 * 3 + 40 * 3 + 5 * 3)
    time_left.record(more, 10, 5.0)
    assert time_left.seconds_left() == pytest.approx(8 * 3 + 30 * 0.5 + 5 * 11 / 12)
    assert time_left.seconds_left(workers=2) == pytest.approx(time_left.seconds_left() / 2)
    assert (time_left.total, time_left.done) == (55, 12)


def test_threads_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [threads_for(jobs) for jobs in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_workers_give_the_same_and_may_die(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    """Two local workers; one is killed in the middle of its first unit."""
    pytest.importorskip("distributed")
    notes = str(tmp_path / "notes")
    names = ("a+noisy", "b+deadly", "c+noisy")
    Path(f"{notes}.killed").touch()
    here = plan_of(photos, fake_schemes, names, {"b+deadly": notes})
    run(here, begin(here, tmp_path / "here.json"))
    Path(f"{notes}.killed").unlink()
    there = plan_of(photos, fake_schemes, names, {"b+deadly": notes})
    run(there, begin(there, tmp_path / "there.json"), jobs=2)
    assert Path(f"{notes}.killed").exists()
    assert contents(read_results(tmp_path / "there.json")) == contents(
        read_results(tmp_path / "here.json")
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_scheme_that_kills_its_workers_stops_no_other(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    names = ("a+fatal", "b+noisy")
    cells = cells_of(names, [Link()], (1 / 16,), (1.0, 7.0))
    plan = Plan(open_dataset(photos, 1), names, {}, cells, fake_schemes, metrics=("psnr",))
    results = begin(plan, tmp_path / "r.json")
    run(plan, results, jobs=2)
    (line,) = failed_lines(results, cells)
    assert line.startswith("a+fatal failed at 2 of 2 conditions")
    assert line.endswith("is there enough memory?")
    assert [results.finished(cell) for cell in cells] == [False, False, True, True]


def test_no_scheduler_there(photos: Path, fake_schemes: Maker, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    plan = plan_of(photos, fake_schemes)
    with pytest.raises(InputError, match=r"no-scheme://x: no Dask scheduler answers"):
        run(plan, begin(plan, tmp_path / "r.json"), scheduler="no-scheme://x")


def test_dask_is_not_needed_for_one_job(
    photos: Path, fake_schemes: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    plan = plan_of(photos, fake_schemes, ("a+noisy",))
    results = begin(plan, tmp_path / "r.json")
    with pytest.raises(InputError, match=r"pip install 'witt\[baselines\]'"):
        run(plan, results, jobs=2)
    run(plan, results)
    assert all(results.finished(cell) for cell in plan.cells)
