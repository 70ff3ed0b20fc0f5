"""The result file of an ablation: versioned JSON with a row for each finished run.

{"format": …, "version": …, "data": {…}, "validation": {…}, "settings": {…}, "presets": {…},
 "runs": [{command, commit, machine, …}],
 "rows": [{"preset", "seed", "budget", "share": 1.0, "run": 0, "steps", "pictures", "seconds",
           "petaflop", "psnr_db": [{"channel", "snr_db", "cbr", "psnr_db"}], …}]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.report import to_json, version
from witt.training.compute import FORMAT

# Counted or rounded anew with each version of PyTorch: they do not tell presets apart.
COUNTED = ("step_gflop", "kflop_per_pixel")
KEY = ("preset", "seed", "budget", "share")

Row = dict[str, Any]


class Ablation:
    """A result file in memory.

    Args:
        path: where it is written.
        head: everything but the rows.
        rows: of finished runs.
    """

    def __init__(self, path: Path, head: dict[str, Any], rows: Sequence[Row]) -> None:
        self.path, self.head, self.rows = path, head, list(rows)

    def find(self, key: dict[str, Any]) -> Row | None:
        """The row of a run, None where it is not finished."""
        return next((row for row in self.rows if all(row[k] == key[k] for k in KEY)), None)

    def add(self, row: Row) -> None:
        """Keep a finished run, and write the file."""
        self.rows.append(json.loads(to_json(row)))
        self.save()

    def declare(self, name: str, record: dict[str, Any]) -> None:
        """Note what a preset is, and count its rows anew.

        Raises:
            InputError: the file has rows of another preset of this name.
        """
        record = json.loads(to_json(record))
        known = self.head["presets"].setdefault(name, dict(record))
        compared = [key for key in {**known, **record} if key not in COUNTED]
        differ = [key for key in compared if not same(known.get(key), record.get(key))]
        if differ:
            what = "; ".join(f"{k} {known.get(k)}, not {record.get(k)}" for k in differ)
            raise InputError(
                f"{self.path}: holds another {name} ({what}); name it otherwise, as NAME=…, or "
                "choose another --out"
            )
        known |= {key: record[key] for key in COUNTED if key in record}
        if "step_gflop" in record:
            for row in self.rows:
                if row["preset"] == name:  # counted alike, whatever version trained it
                    row["petaflop"] = float(f"{row['steps'] * record['step_gflop'] / 1e6:.6g}")

    def save(self) -> None:
        """Write the file, whole or not at all; a line for each row."""
        head = to_json(self.head).removesuffix("\n}")
        rows = ",\n    ".join(to_json(row, indent=None) for row in self.rows)
        write_text(self.path, f'{head},\n  "rows": [\n    {rows}\n  ]\n}}\n')


def open_ablation(
    path: Path, data: dict[str, Any], validation: dict[str, Any], settings: dict[str, Any]
) -> Ablation:
    """Continue a result file, or begin one.

    Raises:
        InputError: it is damaged, or of other pictures or settings; or cannot be written.
    """
    ensure_writable_folder(path.parent)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": version(),
        "data": data,
        "validation": validation,
        "settings": settings,
        "presets": {},
        "runs": [],
    }
    head = json.loads(to_json(head))
    if not path.exists():
        return Ablation(path, head, [])
    found = read_ablation(path)
    differ = [
        f"other {what}"
        for what, key in (("training pictures", "data"), ("validation pictures", "validation"))
        if found.head[key]["content"] != head[key]["content"]
    ]
    before, now = found.head["settings"], head["settings"]
    differ += [
        f"{key} {before.get(key)}, not {now.get(key)}"
        for key in before
        if key in now and before[key] != now[key]
    ]
    if differ:
        raise InputError(f"{path}: is of {'; '.join(differ)}; choose another --out")
    return found


def read_ablation(path: Path) -> Ablation:
    """Read a result file.

    Raises:
        InputError: missing, damaged, or of another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such result file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON, or is damaged or cut short ({error})") from error
    if not is_ablation(document):
        found = document.get("format") if isinstance(document, dict) else None
        raise InputError(f"{path}: its format is {found!r}, and witt ablate reads {FORMAT!r}")
    rows = document.pop("rows", None)
    try:
        for row in rows:
            row.setdefault("share", 1.0)
            for key in (*KEY, "steps", "pictures", "seconds", "petaflop"):
                row[key]
            if not row["psnr_db"] or row["preset"] not in document["presets"]:
                raise ValueError(f"a row of {row['preset']} has no figures")
            for point in row["psnr_db"]:
                float(point["psnr_db"])
        for key in ("data", "validation"):
            document[key]["content"]
        dict(document["settings"])
        list(document["runs"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    return Ablation(path, document, rows)


def same(one: Any, other: Any) -> bool:
    """Whether two settings are; an entry that one version does not know yet tells nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(one[key] == other[key] for key in set(one) & set(other))
    return bool(one == other)


def find_ablation(path: Path) -> Ablation | None:
    """The result file of an ablation; None where the file is something else.

    Raises:
        InputError: it is one, but damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads results says what is wrong
    return read_ablation(path) if is_ablation(document) else None


def is_ablation(document: Any) -> bool:
    """Whether JSON is a result file of `witt ablate`."""
    return isinstance(document, dict) and document.get("format") == FORMAT
