"""Golden results: the real command with the shipped weights on the shipped photograph.

`golden.json` holds what `witt transmit` printed, with ideal side information, when the weights were
landed; after new weights:

    python -m tests.witt.commands.test_golden > tests/witt/commands/golden.json
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import witt
from witt.commands.transmit import command

HERE = Path(__file__).resolve()
SAMPLE = HERE.parents[3] / "witt" / "samples" / "kodim23.png"
CONDITIONS = (
    ("witt_light", "awgn", 1, "1/16"),
    ("witt_light", "awgn", 10, "1/16"),
    ("witt_light", "rayleigh", 3, "1/16"),
    ("witt_base", "awgn", 1, "1/16"),
    ("deepjscc", "rayleigh", 7, "1/16"),
    ("witt_light_ms_ssim", "awgn", 7, "1/24"),
    ("deepjscc_cifar", "rayleigh", 7, "1/3"),
    ("witt_cifar_light", "rayleigh", 7, "1/6"),
    ("witt_cifar", "rayleigh", 7, "1/3"),
)
# Another torch or processor adds up in another order; a wrong network is dB away.
TOLERANCE_DB = 0.02


def transmit(weights: str, channel: str, snr_db: int, cbr: str, out: Path) -> dict[str, Any]:
    arguments = (
        f"--weights {weights} --snr {snr_db} --cbr {cbr} --channel {channel} --seed 0 --device cpu "
        "--side-information ideal --json"
    )
    result = CliRunner().invoke(command, [str(SAMPLE), *arguments.split(), "--output", str(out)])
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)
    names = (
        "weights",
        "channel",
        "snr_db",
        "psnr_db",
        "ms_ssim",
        "cbr",
        "channel_uses",
        "header_bits",
    )
    return {name: entry[name] for name in names}


def test_every_shipped_file_is_among_them() -> None:
    assert {weights for weights, *_ in CONDITIONS} == set(witt.shipped())


@pytest.mark.parametrize("place", range(len(CONDITIONS)))
def test_transmit_gives_what_it_gave(place: int, tmp_path: Path) -> None:
    golden = json.loads((HERE.parent / "golden.json").read_text())[place]
    now = transmit(*CONDITIONS[place], tmp_path)
    for name in ("weights", "channel", "snr_db", "cbr", "channel_uses", "header_bits"):
        assert now[name] == golden[name], name
    assert now["psnr_db"] == pytest.approx(golden["psnr_db"], abs=TOLERANCE_DB)
    dissimilar, expected = (10 * math.log10(1 - e["ms_ssim"]) for e in (now, golden))
    assert dissimilar == pytest.approx(expected, abs=TOLERANCE_DB)


DECISIONS = """
import sys, torch, witt
model = witt.load("witt_light")
image = witt.to_tensor(witt.read_image(sys.argv[1]).pixels)
at = torch.tensor([10.0]), torch.tensor([48])
classes = model.code.tokens(image, *at).classes
allocation = model.code.allocate(classes, *at)
sent = allocation.sent.flatten(1).nonzero().sum().item()
print(classes.tolist(), allocation.expanded.tolist(), sent)
"""
# With the oldest instructions and one thread sums are in another order.
OTHER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OMP_NUM_THREADS": "1",
}


def test_another_processor_sends_the_same() -> None:
    """With float32 sums two tokens of this picture went to another class."""
    command = [sys.executable, "-c", DECISIONS, str(SAMPLE)]
    one, other = (
        subprocess.run(
            command, cwd=HERE.parents[3], env=env, capture_output=True, text=True, check=True
        ).stdout
        for env in (os.environ, os.environ | OTHER_PROCESSOR)
    )
    assert one == other


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        entries = [transmit(*condition, Path(folder)) for condition in CONDITIONS]
    print(json.dumps(entries, indent=1))
