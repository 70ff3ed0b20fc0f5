"""A codec of your own: the picture is sent small, and a network sharpens what arrives.

witt benchmark --dataset photos --schemes witt_light,mine=examples/own_codec.py:MyCodec --snr 1,7
witt train --preset examples/own_codec.py:MyCodec --data photos --steps 500 --out runs/mine
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import channels
from witt import Codec, Encoded, Header, SideInformation


class MyCodec(Codec):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        last = nn.Conv2d(width, 3, 5, padding=2, bias=False)
        nn.init.zeros_(last.weight)  # untrained it changes nothing
        self.sharpen = nn.Sequential(nn.Conv2d(3, width, 5, padding=2), nn.ReLU(), last)

    def small(self, size: tuple[int, int], rate: int) -> tuple[int, int]:
        """Its pixels make two values a symbol, at a CBR of rate / 256."""
        return tuple(max(1, int(side * (rate / 128) ** 0.5)) for side in size)

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Encoded:
        rate = min(128, max(1, int(256 * (cbr or 1 / 16))))
        small = F.interpolate(image, self.small(image.shape[2:], rate), mode="area")
        values = F.pad((small - 0.5).flatten(1), (0, small[0].numel() % 2))
        x, scale = channels.normalise_power(torch.view_as_complex(values.unflatten(1, (-1, 2))))
        side = SideInformation(scale.half().float(), bits=16)
        return Encoded(x, Header.of(image, snr_db, rate, scale=side))

    def decode(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Tensor:
        height, width = self.small(header.size, header.rate)
        values = torch.view_as_real(symbols).flatten(1) / header.get("scale")
        small = 0.5 + values[:, : 3 * height * width].unflatten(1, (3, height, width))
        image = F.interpolate(small, header.size, mode="bicubic")
        return image + self.sharpen(image)
