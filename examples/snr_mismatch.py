"""What it costs that the channel is not what the transmitter was told.

python examples/snr_mismatch.py photo.png
"""

import sys

import torch

import channels
import witt


def main(photo: str, told_db: float = 10.0) -> None:
    model, image = witt.load("witt_light"), witt.to_tensor(witt.read_image(photo).pixels)
    print("SNR dB   told   known")
    for snr_db in (4.0, 7.0, 10.0, 13.0, 16.0):
        psnrs = []
        for planned_db in (told_db, snr_db):
            with torch.inference_mode():
                encoded = model.encode(image, planned_db, cbr=1 / 16)
                generator = torch.Generator().manual_seed(0)
                sent = model.carry(encoded, channels.AWGN(), snr_db, generator=generator)
            psnrs.append(float(witt.psnr(sent.image, image)))
        print(f"{snr_db:6g} {psnrs[0]:6.2f} {psnrs[1]:7.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
