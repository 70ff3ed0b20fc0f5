"""Symbols to a file, over a channel of your own in NumPy, and back to a picture.

python examples/symbols_to_file.py photo.png [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import torch

import witt


def main(photo: str, folder: str = ".") -> None:
    sent, received = (Path(folder) / name for name in ("tx.npz", "rx.npz"))
    model, image = witt.load("witt_light"), witt.to_tensor(witt.read_image(photo).pixels)
    with torch.inference_mode():
        model.encode(image, snr_db=10, cbr=1 / 16).save(sent)

    tx = witt.Encoded.load(sent)  # here, or on another machine
    rng, n0 = np.random.default_rng(1), 10 ** (-10 / 10)
    noise = rng.normal(size=(*tx.symbols.shape, 2)) * np.sqrt(n0 / 2)
    y = tx.symbols + torch.from_numpy(noise[..., 0] + 1j * noise[..., 1]).to(tx.symbols)
    tx.received(y).save(received)

    rx = witt.Encoded.load(received)
    with torch.inference_mode():
        out = model.decode(rx.symbols, rx.header)
    print(f"{tx.symbols.shape[1]} symbols, PSNR {float(witt.psnr(out, image)):.2f} dB")


if __name__ == "__main__":
    main(*sys.argv[1:])
