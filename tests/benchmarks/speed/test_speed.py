"""The plain network computes what ours does, and the benchmark writes what it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks.speed import measure
from benchmarks.speed.command import FORMAT, QUICK, command
from benchmarks.speed.measure import PRODUCTS, interleaved, make_pair, peak_memory


@pytest.mark.parametrize("size", [(32, 32), (9, 26)], ids=str)
@pytest.mark.parametrize("window", [2, 4])
def test_plain_is_ours(size: tuple[int, int], window: int) -> None:
    """Pictures and gradients, with maps that are whole windows and maps that are not."""
    pair = make_pair(replace(QUICK, window=window), size, batch=2)
    gradients = []
    for model in (pair.plain, pair.ours):
        image = pair.send(model)
        image.square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    with torch.no_grad():
        torch.testing.assert_close(
            pair.send(pair.plain), pair.send(pair.ours), atol=1e-5, rtol=1e-4
        )
    assert set(gradients[0]) == set(gradients[1])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-3)


def test_ways_take_turns() -> None:
    calls: list[str] = []
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = interleaved(ways, 3)
    assert calls == ["a", "b"] * 4  # the first to warm up
    assert all(len(timing.seconds) == 3 for timing in times.values())


@pytest.mark.parametrize(("budget_s", "rounds"), [(10.0, 3), (40.0, 4), (49.0, 4), (1e3, 7)])
def test_rounds_end_within_the_budget(
    budget_s: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds of 10 s: three in any case, then as many as end in time."""
    seconds = iter([1.0, 2.0] + [4.0, 6.0] * 7)
    monkeypatch.setattr(measure, "_seconds", lambda way: next(seconds))
    times = interleaved({"a": int, "b": int}, 7, budget_s)
    assert times["a"] == measure.Timing([4.0] * rounds, 1.0)
    assert times["b"] == measure.Timing([6.0] * rounds, 2.0)


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "out" / "speed.json"
    result = CliRunner().invoke(command, ["--quick", "--repeats", "1", "--out", str(path)])
    assert result.exit_code == 0, result.output
    document = json.loads(path.read_text())
    assert document["format"] == FORMAT
    assert document["run"]["command"].startswith("python -m benchmarks.speed")
    assert [t["work"] for t in document["timings"]] == ["inference", "training step"]
    for timing in document["timings"]:
        assert timing["difference"] < 1e-4
        assert {len(way["seconds"]) for way in timing["ways"].values()} == {1}
    assert {len(s) for s in document["end_to_end"]["seconds"].values()} == {1}
    profiled = [(entry["preset"], entry["work"]) for entry in document["profile"]]
    light = ("witt_light", "inference")
    assert profiled == [light, ("tiny", "inference"), ("tiny", "training step")]
    for entry in document["profile"]:
        assert 0 < sum(top["share"] for top in entry["operators"]) <= 1.001
        assert 0 < entry["products"] < 1
        # Other names differ from one kind of processor to the next.
        listed = sum(t["share"] for t in entry["operators"] if t["operator"] in PRODUCTS)
        assert 0 < listed <= entry["products"] + 1e-9
    assert "tiny, 2 of 24x16, training step: ours" in result.output


def test_what_was_measured_is_in_the_file_of_a_run_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(config: object, size: object, train: bool, *_: object) -> dict[str, object]:
        if train:
            raise KeyboardInterrupt
        return {"work": "inference"}

    monkeypatch.setattr("benchmarks.speed.command.compare", compare)
    path = tmp_path / "speed.json"
    result = CliRunner().invoke(command, ["--quick", "--repeats", "1", "--out", str(path)])
    assert result.exit_code == 1
    document = json.loads(path.read_text())
    assert document["timings"] == [{"work": "inference"}]
    assert len(document["end_to_end"]["seconds"]) == 2


@pytest.mark.slow
def test_peak_memory_is_at_most_half() -> None:
    """Of `witt_base` at 1920×1080: bytes, so that no load of the machine matters."""
    plain, ours = (peak_memory("witt_base", which, (1080, 1920)) for which in ("plain", "ours"))
    assert ours["peak_bytes"] <= plain["peak_bytes"] / 2
