"""Sample n is the same for any number of workers and wherever the stream begins."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.training.data import Crops, batches, mirrored
from witt.training.pictures import Pictures, open_sets

# Python 3.12 warns of forks beside threads, which torch has; the workers only cut pictures.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def stream(pictures: Pictures, count: int, first: int = 0, workers: int = 0) -> torch.Tensor:
    found = batches(pictures, crop=16, batch=4, seed=3, first=first, workers=workers)
    result = torch.cat(list(islice(found, count)))
    found.close()
    return result


def test_workers_do_not_change_the_stream(photos: Path) -> None:
    pictures = open_sets([photos], []).train
    assert torch.equal(stream(pictures, 5), stream(pictures, 5, workers=2))


def test_processes_share_each_batch(photos: Path) -> None:
    """In the order of their ranks, and from anywhere in the stream."""
    pictures = open_sets([photos], []).train
    found = [batches(pictures, 16, 4, 3, 8, 0, rank, 2) for rank in range(2)]
    together = torch.cat([next(one) for _ in range(3) for one in found])
    for one in found:
        one.close()
    assert torch.equal(together, stream(pictures, 3, first=8))


def test_a_resumed_stream_goes_on(photos: Path) -> None:
    pictures = open_sets([photos], []).train
    whole = stream(pictures, 5)
    assert torch.equal(stream(pictures, 2, first=12), whole[12:])
    assert not torch.equal(whole[:4], whole[4:8])


def test_the_global_generator_is_left_alone(photos: Path) -> None:
    pictures = open_sets([photos], []).train
    before = torch.get_rng_state()
    stream(pictures, 2, workers=1)
    assert torch.equal(before, torch.get_rng_state())


def test_stream_of_a_seed_is_that_of_earlier_versions(
    photos: Path, picture: Callable[..., np.ndarray]
) -> None:
    """Written out once more: a stored run must go on with the samples that it would have had."""
    pictures = open_sets([photos], []).train
    crops = Crops(pictures, 16, 9)
    for n in (0, 3, 5, 11, 62):
        epoch, place = divmod(n, 5)
        index = int(np.random.default_rng([9, epoch]).permutation(5)[place])
        rng = np.random.default_rng([9, epoch, place])
        top, left = int(rng.integers(40 - 16 + 1)), int(rng.integers(48 - 16 + 1))
        window = picture(int(Path(pictures.name(index)).stem))[top : top + 16, left : left + 16]
        expected = window[:, ::-1] if rng.random() < 0.5 else window
        np.testing.assert_array_equal(crops[n].pixels.permute(1, 2, 0).numpy(), expected)


def test_every_picture_comes_once_a_round_and_flips_are_fair(tmp_path: Path) -> None:
    tiles = np.zeros((7, 32, 32, 3), np.uint8)
    tiles[:, :, :16] += (10 * np.arange(1, 8, dtype=np.uint8))[:, None, None, None]
    crops = Crops(Pictures([], tiles), 32, 0)
    samples = torch.stack([crops[n].pixels for n in range(700)])
    values = samples.flatten(1).amax(dim=1).reshape(100, 7).sort(dim=1).values
    assert torch.equal(values, (10 * torch.arange(1, 8)).expand(100, 7).to(torch.uint8))
    flipped = (samples[:, 0, 0, 0] == 0).float().mean()
    assert abs(float(flipped) - 0.5) < 4 * 0.5 / 700**0.5


def test_crops_lie_anywhere() -> None:
    """The corner of a 16-pixel crop of a 32-pixel picture is uniform over 17 places each way."""
    tile = np.zeros((1, 32, 32, 3), np.uint8)
    tile[0, ..., 0], tile[0, ..., 1] = np.arange(32)[:, None], np.arange(32)[None, :]
    crops = Crops(Pictures([], tile), 16, 0)
    count = 2000
    corners = torch.stack([crops[n].pixels[:2].flatten(1).amin(dim=1) for n in range(count)])
    variance = (17**2 - 1) / 12
    for side in (0, 1):
        values = corners[:, side].float()
        assert {int(v) for v in values} == set(range(17))
        assert abs(float(values.mean()) - 8) < 4 * (variance / count) ** 0.5


def test_small_pictures_are_mirrored() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    larger = mirrored(pixels, 5)
    np.testing.assert_array_equal(larger[:2, :3], pixels)
    np.testing.assert_array_equal(larger[2], larger[1])
    np.testing.assert_array_equal(larger[:, 3], larger[:, 2])
    assert larger.shape == (5, 5, 3)
    assert mirrored(pixels, 2) is pixels
    assert Crops(Pictures([], np.zeros((1, 32, 32, 3), np.uint8)), 48, 0)[0].pixels.shape == (
        3,
        48,
        48,
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_goes_bad_is_named_once(photos: Path, workers: int) -> None:
    pictures = Pictures([found.path for found in find_images([photos])], cache_bytes=1)
    bad = Path(pictures.name(2))
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.warns(UserWarning, match=bad.name) as caught:
        samples = stream(pictures, 6, workers=workers)
    assert len(caught) == 1
    assert samples.shape == (24, 3, 16, 16)


def test_no_readable_file_left_is_an_error(photos: Path) -> None:
    pictures = Pictures([found.path for found in find_images([photos])], cache_bytes=1)
    for path in pictures.paths:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="any more"):
        Crops(pictures, 16, 0)[0]
