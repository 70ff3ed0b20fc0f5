"""The curves published with WITT, read off its figures (arXiv 2211.00937)."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from witt.link.conditions import Link

FILE = Path(__file__).parents[1] / "data" / "paper_curves.json"
SOURCE = "Dashed: published, read off the figures of arXiv 2211.00937 (±0.1 dB)"
# What our schemes are called there; HEVC intra is the codec inside BPG.
COUNTERPARTS = {
    "WITT": "witt_base",
    "DeepJSCC": "deepjscc",
    "BPG+Capacity": "hevc+capacity",
    "BPG+LDPC": "hevc+ldpc",
}
METRICS = {"psnr": "psnr_db", "ms_ssim_db": "ms_ssim_published_db"}


class Published(NamedTuple):
    """A published curve.

    name: of the scheme, as in the paper.
    x: SNR in dB, or CBR.
    y: PSNR or MS-SSIM, dB.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def scheme(self) -> str:
        """Our scheme of the same kind."""
        return COUNTERPARTS.get(self.name, self.name.lower())


def published_curves(
    dataset: str,
    link: Link,
    metric: str,
    *,
    cbr: float | None = None,
    snr_db: float | None = None,
) -> list[Published]:
    """Curves over SNR at a CBR, or over CBR at an SNR.

    Args:
        dataset: "kodak", "cifar10" or "clic2021".
        link: the channel; the published Rayleigh channel fades fast.
        metric: a column of the results; MS-SSIM only as the published code computes it.
        cbr: for curves over SNR.
        snr_db: for curves over CBR.
    """
    if link.channel == "rayleigh" and link.fading != "fast":
        return []
    found = []
    for entry in _entries():
        axis = "snr" if cbr is not None else "cbr"
        same = (entry["figure"], entry["dataset"], entry["channel"], METRICS[entry["metric"]])
        if same != (axis, dataset.lower(), link.channel, metric):
            continue
        fixed, wanted = (entry["cbr"], cbr) if cbr is not None else (entry["snr_db"], snr_db)
        if wanted is not None and math.isclose(fixed, wanted, rel_tol=2e-3):
            x = tuple(map(float, entry["snr_db" if axis == "snr" else "cbr"]))
            found += [Published(n, x, tuple(y)) for n, y in entry.items() if n in COUNTERPARTS]
    return found


@functools.cache
def _entries() -> Sequence[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["curves"]
    return entries
