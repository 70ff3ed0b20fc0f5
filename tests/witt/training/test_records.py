"""The log and the checkpoint: strict JSON, whole lines, and a disk that is full."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import witt
from witt.training.checkpoint import write_checkpoint
from witt.training.records import Records


def records(out: Path, step: int = 0) -> Records:
    return Records(out, tensorboard=False, step=step)


def lines(out: Path) -> list[dict[str, Any]]:
    text = (out / "log.jsonl").read_text()
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing a file beyond this many bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    records(tmp_path).write({"score_db": float("nan"), "validation": {"a": float("inf"), "b": 1.5}})
    assert lines(tmp_path) == [{"score_db": None, "validation": {"a": None, "b": 1.5}}]


@pytest.mark.parametrize(
    ("cut", "kept"),
    [('{"step": 2, "sec', []), ('{"step": 2}', [{"step": 2}]), ("\0\0\0\0", [])],
    ids=["cut", "only the end of the line is missing", "blocks that were never written"],
)
def test_a_line_that_was_cut_short_goes(tmp_path: Path, cut: str, kept: list[Any]) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n' + cut)
    records(tmp_path, step=1).write({"step": 1, "resumed": True})
    assert lines(tmp_path) == [{"step": 1}, *kept, {"step": 1, "resumed": True}]


@pytest.mark.parametrize("room", [0, 7])
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, room: int) -> None:
    records(tmp_path).write({"step": 1})
    size = (tmp_path / "log.jsonl").stat().st_size
    full = pytest.raises(witt.InputError, match=r"log\.jsonl: cannot be written")
    with largest_file(size + room), full:
        records(tmp_path).write({"step": 2})
    assert lines(tmp_path) == [{"step": 1}]
    records(tmp_path).write({"step": 2})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}]


def test_a_full_disk_leaves_the_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"step": 1})
    before = (tmp_path / "checkpoint.pt").read_bytes()
    full = pytest.raises(witt.InputError, match=r"checkpoint\.pt: cannot be written")
    with largest_file(50_000), full:
        write_checkpoint(tmp_path, {"step": 2, "model": torch.zeros(100_000)})
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
