"""One end of a scheme as a program: `python -m benchmarks.referee.program transmit|receive`.

It knows what is in its folder and nothing else. A transmitter finds job.json and pictures, and
leaves samples and an account; a receiver finds job.json and samples, and leaves pictures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.referee.air import Csi
from benchmarks.referee.choice import ends_of
from benchmarks.referee.ends import Ends
from benchmarks.schemes.registry import make_schemes
from benchmarks.schemes.scheme import what_failed
from witt.errors import InputError
from witt.files import write_text
from witt.link.conditions import Link
from witt.pictures.images import read_image
from witt.pictures.writing import write_png
from witt.radio.samples import Recording, read_samples, write_samples
from witt.report import to_json

JOB, ACCOUNT = "job.json", "account.json"


def transmit(folder: Path, job: dict[str, Any]) -> None:
    """Samples of each picture, 0.sigmf of 0.png and so on."""
    ends, link = _ends(job), Link(**job["link"])
    accounts = []
    for index in range(job["pictures"]):
        pixels = read_image(folder / f"{index}.png").pixels
        try:
            sending = ends.transmit(pixels, link, job["snr_db"], job["cbr"])
        except InputError as error:
            accounts.append({"refused": str(error)})
            continue
        write_samples(folder / f"{index}.sigmf", Recording(sending.samples))
        accounts.append(
            {key: value for key, value in sending._asdict().items() if key != "samples"}
        )
    write_text(folder / ACCOUNT, to_json(accounts))


def receive(folder: Path, job: dict[str, Any]) -> None:
    """The picture of each file of samples, where there is one."""
    ends = _ends(job)
    accounts = {}
    for path in sorted(folder.glob("*.sigmf")):
        if path.stem.isdecimal():
            samples = read_samples(path).samples
            received = ends.receive(samples, _csi(folder / f"csi-{path.name}"))
            if received.pixels is not None:
                write_png(path.with_suffix(".png"), received.pixels)
            accounts[path.stem] = {"note": received.note}
    write_text(folder / ACCOUNT, to_json(accounts))


def _ends(job: dict[str, Any]) -> Ends:
    (scheme,) = make_schemes([job["scheme"]], job["weights"])
    return ends_of(scheme)


def _csi(path: Path) -> Csi | None:
    """The true gains, where the channel left them."""
    if not path.exists():
        return None
    held = read_samples(path)
    return Csi(held.samples, float(held.facts["noise_variance"]))


def main(which: str, folder: Path) -> int:
    """Do the job that is in a folder; returns the exit status."""
    try:
        job = json.loads((folder / JOB).read_text(encoding="utf-8"))
        (transmit if which == "transmit" else receive)(folder, job)
    except Exception as error:  # whatever a stranger's scheme raises
        print(f"Error: {what_failed(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path.cwd()))
