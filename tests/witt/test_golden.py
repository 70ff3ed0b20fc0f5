"""Golden results: the real command with the shipped weights on the shipped photograph.

`golden.json` holds what `witt transmit` printed when the weights were landed; after new weights:

    python -m tests.witt.test_golden > tests/witt/golden.json
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from witt.transmit import command

HERE = Path(__file__).resolve()
SAMPLE = HERE.parents[2] / "witt" / "samples" / "kodim23.png"
CONDITIONS = (("awgn", 1), ("awgn", 10), ("rayleigh", 3))
# Another torch or processor adds up in another order; a wrong network is dB away.
TOLERANCE_DB = 0.02


def transmit(channel: str, snr_db: int, out: Path) -> dict[str, Any]:
    arguments = f"--snr {snr_db} --cbr 1/16 --channel {channel} --seed 0 --device cpu --json"
    result = CliRunner().invoke(command, [str(SAMPLE), *arguments.split(), "--output", str(out)])
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)
    names = ("channel", "snr_db", "psnr_db", "ms_ssim", "cbr", "channel_uses", "header_bits")
    return {name: entry[name] for name in names}


@pytest.mark.parametrize("place", range(len(CONDITIONS)))
def test_transmit_gives_what_it_gave(place: int, tmp_path: Path) -> None:
    golden = json.loads((HERE.parent / "golden.json").read_text())[place]
    now = transmit(*CONDITIONS[place], tmp_path)
    for name in ("channel", "snr_db", "cbr", "channel_uses", "header_bits"):
        assert now[name] == golden[name], name
    assert now["psnr_db"] == pytest.approx(golden["psnr_db"], abs=TOLERANCE_DB)
    dissimilar, expected = (10 * math.log10(1 - e["ms_ssim"]) for e in (now, golden))
    assert dissimilar == pytest.approx(expected, abs=TOLERANCE_DB)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        entries = [transmit(*condition, Path(folder)) for condition in CONDITIONS]
    print(json.dumps(entries, indent=1))
