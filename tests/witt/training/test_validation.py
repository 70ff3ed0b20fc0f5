"""Where and on what a run is validated."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import channels
import witt
from witt.metrics.quality import BEST_MS_SSIM_DB, BEST_PSNR_DB
from witt.training import validation
from witt.training.config import TrainConfig
from witt.training.pictures import Pictures
from witt.training.start import initial_model
from witt.training.validation import Point, Scores, centre_crops, points, validate


def test_points(settings: Callable[..., TrainConfig]) -> None:
    config = settings(
        snr=(-2, 20), snr_is_range=True, cbr=("1/8", "1/16", "1/16", "1/48"),
        channel=("awgn", "rayleigh"),
    )  # fmt: skip
    found = points(config)
    awgn = [Point("awgn", snr, "1/16") for snr in (-2.0, 3.5, 9.0, 14.5, 20.0)]
    awgn += [Point("awgn", 9.0, "1/48"), Point("awgn", 9.0, "1/8")]
    assert found == awgn + [point._replace(channel="rayleigh") for point in awgn]
    assert str(found[0]) == "awgn 1/16 -2 dB"
    listed = points(settings(snr=(13, 1, 4, 7, 10), cbr=("1/16",)))
    assert [point.snr_db for point in listed] == [1, 4, 7, 10, 13]
    many = points(settings(snr=tuple(range(21)), cbr=("1/16",)))
    assert [point.snr_db for point in many] == [0, 5, 10, 15, 20]


def test_centre_crops_of_the_pictures() -> None:
    """Large ones are cut in the middle, equal sizes go together, none is lost."""
    tiles = np.zeros((3, 300, 270, 3), np.uint8)
    tiles[:, 22:278, 7:263] = np.array([1, 2, 3])[:, None, None, None]
    batches = centre_crops(Pictures([], tiles), with_ms_ssim=False).batches
    assert [tuple(batch.shape) for batch in batches] == [(3, 3, 256, 256)]
    assert torch.equal(batches[0][:, 0].flatten(1).amin(dim=1), torch.tensor([1, 2, 3]).byte())
    assert torch.equal(batches[0].flatten(1).amin(dim=1), batches[0].flatten(1).amax(dim=1))


def test_many_pictures_are_thinned_out_evenly() -> None:
    values = np.arange(96, dtype=np.uint8)[:, None, None, None]
    tiles = np.broadcast_to(values, (96, 256, 256, 3))
    batches = centre_crops(Pictures([], tiles), with_ms_ssim=False).batches
    taken = torch.cat(batches)[:, 0, 0, 0].tolist()
    assert len(taken) == 32
    assert (taken[0], taken[-1]) == (0, 95)
    assert {b - a for a, b in pairwise(taken)} <= {3, 4}


def test_scores_are_the_means_of_the_model(
    settings: Callable[..., TrainConfig], picture: Callable[..., np.ndarray]
) -> None:
    """Against the model's own forward, one picture at a time, which changes the noise alone."""
    model = initial_model(settings()).eval()
    images = [witt.to_tensor(picture(i, 192, 192)) for i in range(2)]
    batch = torch.cat(images).mul(255).round().byte()
    at = [Point("awgn", 60.0, "1/16"), Point("rayleigh", 60.0, "1/48")]
    scores = validate(model, [batch], at, with_ms_ssim=True)
    assert scores is not None
    assert scores == validate(model, [batch], at, with_ms_ssim=True)
    for point, channel, cbr in zip(
        at, (channels.AWGN(), channels.Rayleigh()), (1 / 16, 1 / 48), strict=True
    ):
        with torch.no_grad():
            out = [model(image, channel, 60.0, cbr).image for image in images]
        psnr = sum(float(witt.psnr(o, i)) for o, i in zip(out, images, strict=True)) / 2
        similar = sum(float(witt.ms_ssim(o, i).db) for o, i in zip(out, images, strict=True)) / 2
        # 60 dB leave hardly any noise; over Rayleigh a deep fade may cost a little.
        assert scores.psnr[str(point)] == pytest.approx(psnr, abs=0.05)
        assert scores.ms_ssim[str(point)] == pytest.approx(similar, abs=0.05)
    assert validate(model, [batch], at, with_ms_ssim=False, stop=lambda: True) is None


def test_perfect_pictures_count_as_the_caps(
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each by itself: of one perfect picture and one at 10·log10(255²) dB, the mean of the two."""

    def received(_profile: object, _model: object, image: Tensor, *_: object, **__: object) -> Any:
        off = torch.tensor([0.0, 1 / 255]).reshape(2, 1, 1, 1)
        return SimpleNamespace(image=image + off if len(image) == 2 else image)

    monkeypatch.setattr(validation, "transmit_as", received)
    model, at = initial_model(settings()).eval(), [Point("awgn", 10.0, "1/16")]
    image = witt.to_tensor(picture(0, 192, 192) // 2).mul(255).round().byte()
    scores = validate(model, [image], at, with_ms_ssim=True)
    assert scores == Scores({str(at[0]): BEST_PSNR_DB}, {str(at[0]): BEST_MS_SSIM_DB})
    scores = validate(model, [image.expand(2, -1, -1, -1)], at, with_ms_ssim=False)
    assert scores is not None
    one = 10 * np.log10(255**2)
    assert scores.psnr[str(at[0])] == pytest.approx((BEST_PSNR_DB + one) / 2, abs=1e-3)
