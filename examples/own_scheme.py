"""A scheme of your own to compare with: a thumbnail in plain QPSK, without any coding.

witt benchmark --dataset photos --schemes witt_light,qpsk=examples/own_scheme.py:Thumbnail
"""

import numpy as np
import torch
from PIL import Image

from benchmarks.schemes.scheme import OneByOne, Sent, channel_uses
from channels import zero_forcing

BITS = 4  # of a value


class Thumbnail(OneByOne):
    """Sends the most pixels that the channel uses allow; wrong bits stay wrong."""

    def send_one(self, pixels, link, snr_db, cbr, seed):
        uses = channel_uses(pixels, cbr)
        height, width = pixels.shape[:2]
        share = (2 * uses / (3 * BITS * height * width)) ** 0.5
        if int(share * height) * int(share * width) == 0:
            return Sent(None, uses, {"reason": "not one pixel fits"})
        size = int(share * width), int(share * height)
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
        bits = np.unpackbits(small[..., None] // 16, axis=-1)[..., -BITS:].ravel()
        qpsk = torch.from_numpy(1 - 2.0 * bits).float().reshape(-1, 2) / 2**0.5
        symbols = torch.view_as_complex(qpsk)[None]

        generator = torch.Generator().manual_seed(seed)
        received = link.module()(symbols, snr_db, generator=generator)
        y = torch.view_as_real(zero_forcing(*received).x_hat)
        bits = (y.flatten() < 0).numpy().reshape(*small.shape, BITS)
        values = (bits * [128, 64, 32, 16]).sum(axis=-1) + 8
        picture = Image.fromarray(values.astype(np.uint8)).resize((width, height))
        return Sent(np.asarray(picture), symbols.shape[1], {"header_bits": 32})
