"""A lens: a small network that changes a view a little, so that what is easiest is of no use.

    view ─┬─► 3×3, ↓2 ─► 3×3, ↑2 ─┬─► 3×3 ─► tanh · bound ─► + ─► seen by the student
          ├──────────────────────►┘                           ▲
          └───────────────────────────────────────────────────┘

It is trained to make the student's loss as large as it can, while no value of the picture moves by
more than its bound: what it hides first are shortcuts (chromatic aberration, compression, noise).
Minderer et al. keep it near the picture by a penalty on the squared change; here the bound does.

Source: Minderer et al., Automatic Shortcut Removal for Self-Supervised Representation Learning,
arXiv 2002.08822.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16


class Lens(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] of even sides to such, changed by at most `bound`.

    It changes nothing before it is trained.
    """

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.down = nn.Conv2d(3, WIDTH, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.up = nn.Conv2d(WIDTH + 3, 3, 3, padding=1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(cast(Tensor, self.up.bias))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        x = F.relu(self.inner(F.relu(self.down(image))))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        change = self.up(torch.cat([x, image.to(x.dtype)], dim=1)).float().tanh()
        return (image + self.bound * change).clamp(0, 1)
