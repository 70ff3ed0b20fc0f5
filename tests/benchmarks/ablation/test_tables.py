"""Tables, figures and what is made of them, from result files alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.ablation.figure import draw, longest
from benchmarks.ablation.groups import gain, groups, half_range, known_to_db
from benchmarks.ablation.results import Ablation, find_ablation, open_ablation, read_ablation
from benchmarks.ablation.table import markdown, three_digits, verdict
from benchmarks.commands.plot import command as plot
from witt.errors import InputError

Invented = Callable[..., Path]
CLOSE = {"swin": [26.00, 26.10], "mixer": [26.02, 26.04], "resnet": [25.0, 25.2]}
CLEAR = {"swin": [26.0, 26.4], "mixer": [25.8, 26.2], "resnet": [25.0, 25.4]}


def test_the_table(invented: Invented) -> None:
    text = markdown(read_ablation(invented(CLEAR, {"swin": 60.0, "mixer": 61.04})))
    lines = text.splitlines()
    assert lines[0] == (
        "PSNR in dB of 4 validation pictures (cifar10), awgn, after 2 PFLOP each; "
        "the mean of the seeds ± half of their range."
    )
    (mixer,) = (line for line in lines if line.startswith("| mixer"))
    cells = [cell.strip() for cell in mixer.strip("|").split("|")]
    assert cells[:9] == ["mixer", "61.0", "2.00 M", "1/3", "100", "1.5", "2", "1.5", "2"]
    assert cells[9:14] == [f"{26.0 + x - 7:.2f} ± 0.20" for x in (1, 4, 7, 10, 13)]
    assert cells[14:] == ["26.00 ± 0.20", "-0.20 ± 0.00"]  # the seeds move both alike
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_three_digits() -> None:
    assert list(map(three_digits, (1312.4, 0.012834, 2.0))) == ["1310", "0.0128", "2"]


def test_half_of_the_range() -> None:
    np.testing.assert_allclose(
        half_range(np.array([[1.0, 2.0], [4.0, 2.0], [2.0, 3.0]])), [1.5, 0.5]
    )


def test_what_the_seeds_can_tell(invented: Invented) -> None:
    """Two presets and two seeds, by hand: the rest is ±(d0 − d1)/4 in all four, with 1 freedom.

    Its variance is (d0 − d1)²/4 and the error of a difference of two means of 2 half as large in
    all, |d0 − d1|/2; Student's t for 95 % is 12.7062.
    """
    (mine,) = groups(read_ablation(invented({"a": [26.0, 26.4], "b": [25.7, 26.2]}))).values()
    np.testing.assert_allclose(gain(mine[0], mine[1]).mean(1), [0.3, 0.2])
    assert known_to_db(mine) == pytest.approx(12.7062 * 0.1 / 2, rel=1e-5)
    assert known_to_db(mine[:1]) != known_to_db(mine[:1])  # NaN


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (CLEAR, "Best: swin, 0.20 dB above mixer: more than chance, since the seeds tell a "
         "difference to ± 0.00 dB (95 %)."),
        (CLOSE, "Best: swin, 0.02 dB above mixer: too close to call"),
        ({"a": [26.0], "b": [27.0]}, "Best: b, 1.00 dB above a; without several seeds"),
    ],
)  # fmt: skip
def test_the_verdict(invented: Invented, scores: dict[str, list[float]], said: str) -> None:
    path = invented(scores)
    (mine,) = groups(read_ablation(path)).values()
    assert verdict(mine).startswith(said)
    assert verdict(mine) in markdown(read_ablation(path))


def test_what_does_not_compare_is_said(invented: Invented) -> None:
    path = invented({"a": [26.0, 26.1], "b": [25.0]})
    document = json.loads(path.read_text())
    document["presets"]["b"]["cbr"] = ["1/6"]
    path.write_text(json.dumps(document))
    text = markdown(read_ablation(path))
    assert "The CBRs differ: the presets do not compare." in text
    assert "The presets do not have the same seeds yet." in text


def test_the_figures_depend_on_the_file_alone(invented: Invented, tmp_path: Path) -> None:
    path = invented(CLEAR, {"swin": 20.0, "mixer": 60.0, "resnet": 61.0})
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        done = CliRunner().invoke(plot, [str(path), "-o", str(folder)])
        assert done.exit_code == 0, done.exception
        assert markdown(read_ablation(path)) in done.output
    name = tmp_path.name
    assert {file.name for file in first.iterdir()} == {f"{name}.png", f"{name}.svg"}
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()


def test_equal_arithmetic_leaves_one_panel(invented: Invented, tmp_path: Path) -> None:
    (_, alike), (_, other) = (
        draw(read_ablation(invented(CLEAR, cost)), tmp_path, name)
        for name, cost in (("alike", {}), ("other", {"swin": 20.0}))
    )
    assert 'id="axes_2"' not in alike.read_text()
    assert 'id="axes_2"' in other.read_text()


def test_lengths_and_shares_have_tables_and_the_longest_a_figure(
    invented: Invented, tmp_path: Path
) -> None:
    path = invented(CLEAR)
    document = json.loads(path.read_text())
    more = [
        {**row, "share": share, "budget": {"kind": "petaflops", "amount": amount}}
        for row in document["rows"]
        for share in (0.5, 1.0)
        for amount in (1.0, 2.0)
        if (share, amount) != (1.0, 2.0)
    ]
    document["rows"] += more
    path.write_text(json.dumps(document))
    ablation = read_ablation(path)
    assert markdown(ablation).count("| preset |") == 4
    assert len(longest(groups(ablation))) == 2
    written = [file.name for file in draw(ablation, tmp_path, "x") if file.suffix == ".png"]
    assert written == ["x-share0.5.png", "x-share1.png"]


def reopened(path: Path, **changes: object) -> Ablation:
    head = read_ablation(path).head
    data, validation = head["data"], head["validation"]
    return open_ablation(path, data, {**validation, **changes}, {"batch": 8, **changes})


def test_what_would_mix_runs_is_refused(invented: Invented) -> None:
    path = invented(CLEAR)
    with pytest.raises(InputError, match="is of other validation pictures; choose another --out"):
        reopened(path, content="z")
    ablation = reopened(path)
    ablation.head["settings"] = {"batch": 8, "crop": 32}
    ablation.save()
    assert reopened(path).rows == ablation.rows  # an entry of another version tells nothing
    with pytest.raises(InputError, match="is of batch 8, not 9"):
        reopened(path, batch=9)
    record = dict(ablation.head["presets"]["swin"])
    ablation.declare("swin", {**record, "kflop_per_pixel": 61.0, "step_gflop": 3.0})
    assert ablation.head["presets"]["swin"]["kflop_per_pixel"] == 61.0  # counted otherwise
    assert [row["petaflop"] for row in ablation.rows] == [100 * 3e9 / 1e15] * 2 + [2.0] * 4
    with pytest.raises(InputError, match=r"holds another swin .parameters 2000000.0, not 9"):
        ablation.declare("swin", {**record, "parameters": 9})


@pytest.mark.parametrize("spoil", ["steps", "psnr_db", "preset"])
def test_damaged_files_are_one_line(invented: Invented, spoil: str) -> None:
    path = invented(CLEAR)
    document = json.loads(path.read_text())
    document["rows"][1][spoil] = [] if spoil == "psnr_db" else None
    if spoil == "steps":
        del document["rows"][1]["steps"]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"results.json: is damaged"):
        find_ablation(path)
    path.write_text(json.dumps(document)[:99])
    assert find_ablation(path) is None
    with pytest.raises(InputError, match="is no JSON"):
        read_ablation(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="its format is None"):
        read_ablation(path)


def test_files_of_before_there_were_shares(invented: Invented) -> None:
    path = invented(CLEAR)
    document = json.loads(path.read_text())
    for row in document["rows"]:
        del row["share"]
    path.write_text(json.dumps(document))
    ablation = read_ablation(path)
    key = {"preset": "swin", "seed": 1, "budget": {"kind": "petaflops", "amount": 2}, "share": 1.0}
    found = ablation.find(key)
    assert found is not None
    assert found["seed"] == 1
