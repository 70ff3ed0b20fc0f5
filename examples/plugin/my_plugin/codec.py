"""`--preset my_codec`: two convolutions at each end."""

import torch
from torch import Tensor, nn

import channels
from witt import Codec, Encoded, Header

STRIDE, VALUES = 4, 6  # a token of 4×4 pixels sends 3 symbols: CBR 1/16


class MyCodec(Codec):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.served_cbr = (1 / 16, 1 / 16)
        self.analyse = nn.Sequential(
            nn.Conv2d(3, width, STRIDE, STRIDE), nn.GELU(), nn.Conv2d(width, VALUES, 1)
        )
        self.synthesise = nn.Sequential(
            nn.Conv2d(VALUES, width, 1), nn.GELU(), nn.ConvTranspose2d(width, 3, STRIDE, STRIDE)
        )

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Encoded:
        height, width = image.shape[2:]
        padded = nn.functional.pad(image, (0, -width % STRIDE, 0, -height % STRIDE), "replicate")
        pairs = self.analyse(padded).flatten(1).unflatten(1, (-1, 2)).contiguous()
        symbols = channels.normalise_power(torch.view_as_complex(pairs)).x
        return Encoded(symbols, Header.of(image, snr_db))

    def decode(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Tensor:
        height, width = header.size
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        values = torch.view_as_real(symbols).flatten(1).unflatten(1, (VALUES, rows, columns))
        return 0.5 + self.synthesise(values)[:, :, :height, :width]
