"""Run by `test_attention.py` with Triton's interpreter, which has to be chosen before its import.

Prints the relative error of the kernel alone, and the largest differences (picture, gradients) of
two tiny networks with the kernel from the model's own passes.
"""

import json

import torch

from tests.witt.training.gpu.networks import NETWORKS, differences
from witt.training.gpu.attention import attend_kernel, kernel_error
from witt.training.gpu.passes import Lines, suits_kernel

torch.set_num_threads(1)
found = {"kernel": [kernel_error(2, 16, torch.float32, torch.device("cpu"))]}
for name in ("window 8", "window 2"):
    sizes, side = NETWORKS[name]
    config = sizes()
    if not suits_kernel(config, 4, side):
        raise SystemExit(f"{name}: the kernel does not take it")
    found[name] = list(differences(config, side, Lines(attend=attend_kernel)))
print(json.dumps(found))
