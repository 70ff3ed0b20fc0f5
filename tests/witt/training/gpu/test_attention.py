"""The kernels do what the plain lines do; Triton interprets them here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from witt.training.gpu.attention import attend_plain


def test_plain_lines_are_the_attention_of_each_window() -> None:
    """Window by window and head by head, with its kind's mask."""
    generator = torch.Generator().manual_seed(0)
    windows, tokens, heads, depth = 3, 4, 2, 5
    width = heads * depth
    qkv = torch.randn(windows * tokens, 3 * width, generator=generator, dtype=torch.float64)
    bias = torch.randn(heads, tokens, tokens, generator=generator, dtype=torch.float64)
    masks = torch.randn(2, tokens, tokens, generator=generator, dtype=torch.float64)
    kinds = torch.tensor([1, 0, 1], dtype=torch.int32)
    out = attend_plain(qkv, bias, masks, kinds)
    for w in range(windows):
        rows = qkv[w * tokens : (w + 1) * tokens]
        for head in range(heads):
            q, k, v = (rows[:, s * width + head * depth :][:, :depth] for s in range(3))
            logits = q @ k.T / depth**0.5 + bias[head] + masks[kinds[w]]
            expected = torch.softmax(logits, 1) @ v
            found = out[w * tokens : (w + 1) * tokens, head * depth : (head + 1) * depth]
            torch.testing.assert_close(found, expected)


LIMITS = {"float32": 1e-6, "float16": 1e-3}


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_kernels_and_their_gradients(tmp_path: Path) -> None:
    """Attention and MLP, alone and in networks; windows of 64 tokens, and of 4 (16 in one)."""
    script = Path(__file__).with_name("interpreted.py")
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "1",
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[4]),
    }
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kernels = {f"{kernel} {dtype}" for kernel in ("attention", "MLP") for dtype in LIMITS}
    assert set(found) == {*kernels, "window 8", "window 2"}
    for kernel in kernels:
        assert max(found[kernel]) < LIMITS[kernel.split()[1]], kernel
    assert max(found["window 8"] + found["window 2"]) < 1e-5
