"""Run by `test_attention.py` with Triton's interpreter, which has to be chosen before its import.

Prints the relative errors of the kernels alone, in float32 and float16 (the interpreter has no
bfloat16), and the largest differences (picture, gradients) of two tiny networks with the kernels
from the model's own passes.
"""

import json

import torch

from tests.witt.training.gpu.networks import NETWORKS, differences
from witt.training.gpu.attention import attend_kernel, kernel_error
from witt.training.gpu.mlp import WIDTHS, fits_kernel, mlp_error
from witt.training.gpu.passes import Lines, suits_kernel

torch.set_num_threads(1)
if not fits_kernel(torch.empty(4 * 8 * 8, 64), 256):
    raise SystemExit("the second stage of the first network does not take the MLP's kernel")
device = torch.device("cpu")
found = {}
for name, dtype in (("float32", torch.float32), ("float16", torch.float16)):
    found[f"attention {name}"] = [kernel_error(2, 16, dtype, device)]
    found[f"MLP {name}"] = [mlp_error(width, dtype, device) for width in WIDTHS]
for name in ("window 8", "window 2"):
    sizes, side = NETWORKS[name]
    config = sizes()
    if not suits_kernel(config, 4, side):
        raise SystemExit(f"{name}: the kernel does not take it")
    lines = Lines(attend=attend_kernel, mlp_kernel=name == "window 8")
    found[name] = list(differences(config, side, lines))
print(json.dumps(found))
