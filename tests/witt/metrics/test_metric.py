"""Metrics by name: each against an independent oracle, and users' own."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from witt.errors import InputError
from witt.metrics.metric import DEFAULT, Quantity, make_metrics, measure, read_quantities
from witt.metrics.quality import ms_ssim, psnr
from witt.registry import METRICS


def pair(height: int = 40, width: int = 44, pictures: int = 2) -> tuple[Tensor, Tensor]:
    """Received pictures of floats, some beyond [0, 1], and originals of 8 bits."""
    generator = torch.Generator().manual_seed(3)
    size = (pictures, 3, height, width)
    reference = (torch.rand(size, generator=generator) * 255).round() / 255
    return reference + 0.1 * torch.randn(size, generator=generator), reference


def as_file(image: Tensor) -> np.ndarray:
    """What an 8-bit file would hold, as floats in [0, 1]."""
    return np.rint(image.clamp(0, 1).numpy() * np.float32(255)).astype(np.float64) / 255


def test_the_built_in_ones_are_as_they_were() -> None:
    image, reference = pair(180, 170)
    similarity = ms_ssim(image, reference)
    expected = zip(
        psnr(image, reference).tolist(),
        similarity.value.tolist(),
        similarity.db.tolist(),
        strict=True,
    )
    for figures, (psnr_db, value, db) in zip(
        measure(make_metrics(DEFAULT), image, reference), expected, strict=True
    ):
        assert figures == {
            "psnr_db": psnr_db,
            "ms_ssim": value,
            "ms_ssim_db": db,
            "ms_ssim_variant": "ms-ssim",
        }
    perfect = measure(make_metrics(DEFAULT), reference, reference)[0]
    assert (perfect["psnr_db"], perfect["ms_ssim_db"]) == (100.0, 60.0)


def test_without_rounding() -> None:
    image, reference = pair()
    (metric,) = make_metrics(["psnr"])
    exact = -10 * ((image.clamp(0, 1) - reference) ** 2).double().mean((1, 2, 3)).log10()
    found = [f["psnr_db"] for f in metric.measure(image, reference, eight_bit=False)]
    assert found == pytest.approx(exact.tolist(), abs=1e-6)
    assert found != [f["psnr_db"] for f in metric.measure(image, reference)]


def test_ssim_by_scipy() -> None:
    """The definition of 2004, with another library's Gaussian and without the border."""
    image, reference = pair()
    received, original = as_file(image), reference.double().numpy()

    def blur(plane: np.ndarray) -> np.ndarray:
        return gaussian_filter(plane, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    expected = []
    for x, y in zip(received, original, strict=True):
        planes = []
        for a, b in zip(x, y, strict=True):
            mean_a, mean_b = blur(a), blur(b)
            var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
            both = blur(a * b) - mean_a * mean_b
            luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
            planes.append((luminance * (2 * both + 9e-4) / (var_a + var_b + 9e-4)).mean())
        expected.append(np.mean(planes))
    found = measure(make_metrics(["ssim"]), image, reference)
    assert [figures["ssim"] for figures in found] == pytest.approx(expected, abs=1e-6)
    small = measure(make_metrics(["ssim"]), *pair(10, 12))
    assert all(math.isnan(figures["ssim"]) for figures in small)


def test_lpips_by_its_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances of unit feature vectors, weighted as published; the network is a random one."""
    torchvision = pytest.importorskip("torchvision")
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"squeezenet1_1-b8a52dc0.pth; to fetch it once"):
        make_metrics(["lpips:net=squeeze"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.squeezenet1_1(weights=None)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(
        network.state_dict(), tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    )
    image, reference = pair(64, 70)
    metrics = make_metrics(["lpips:net=squeeze"])
    assert metrics[0].quantity == Quantity(
        "lpips:net=squeeze", "lpips_net_squeeze", "LPIPS (net=squeeze)", False
    )
    file = Path(lpips.__file__).parent / "lpips_models" / "squeeze.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    x = (2 * torch.tensor(as_file(image)).float() - 1 - shift) / scale
    y = (2 * reference - 1 - shift) / scale
    expected, layer = torch.zeros(2), 0
    with torch.no_grad():
        for number, module in enumerate(network.features):
            x, y = module(x), module(y)
            if number in (1, 4, 7, 9, 10, 11, 12):
                unit = [f / f.square().sum(1, keepdim=True).add(1e-8).sqrt() for f in (x, y)]
                squares = (unit[0] - unit[1]).square()
                expected += (
                    (squares * weights[f"lin{layer}.model.1.weight"]).sum(1).mean(dim=(1, 2))
                )
                layer += 1
    assert layer == 7
    found = [figures["lpips_net_squeeze"] for figures in measure(metrics, image, reference)]
    assert found == pytest.approx(expected.tolist(), rel=1e-4)
    assert measure(metrics, reference, reference)[0]["lpips_net_squeeze"] == 0


OWN = """
import torch

def mse(image, reference):
    return (image - reference).square().mean(dim=(1, 2, 3))
mse.label = "Error"
mse.higher_is_better = False
mse.best = 0.001

def plain(image, reference):
    return image.mean(dim=(1, 2, 3)).tolist()

def of_batch(image, reference):
    return (image - reference).abs().mean()

def picky(image, reference):
    if image.mean() > 0.5:
        raise ValueError("too\\nbright")
    return image.mean(dim=(1, 2, 3))

def wrong(image, reference):
    return torch.zeros(7)

class Power:
    higher_is_better = False
    def __init__(self, p=2):
        self.p = p
        self.label = f"L{p}"
    def __call__(self, image, reference):
        return (image - reference).abs().pow(self.p).mean(dim=(1, 2, 3))

def scaled(image, reference, by=1):
    return by * image.mean(dim=(1, 2, 3))

seconds = mse
NUMBER = 3
def one(image):
    return image
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    return str(file)


def test_own_metrics(own: str) -> None:
    image, reference = pair()
    asked = [f"{own}:{name}" for name in ("mse", "plain", "of_batch", "Power:p=1", "scaled:by=2")]
    metrics = make_metrics(["psnr", *asked, "psnr"])
    told = [(m.quantity.key, m.quantity.label, m.quantity.higher_is_better) for m in metrics]
    assert told == [
        ("psnr_db", "PSNR dB", True),
        ("mse", "Error", False),
        ("plain", "plain", True),
        ("of_batch", "of_batch", True),
        ("Power_p_1", "L1 (p=1)", False),
        ("scaled_by_2", "scaled (by=2)", True),
    ]
    received, original = as_file(image), reference.numpy()
    for index, figures in enumerate(measure(metrics, image, reference)):
        error = received[index] - original[index]
        assert figures["mse"] == pytest.approx((error**2).mean(), rel=1e-5)
        assert figures["plain"] == pytest.approx(received[index].mean(), rel=1e-5)
        # One number for a batch is asked for picture by picture.
        assert figures["of_batch"] == pytest.approx(abs(error).mean(), rel=1e-5)
        assert figures["Power_p_1"] == figures["of_batch"]
        assert figures["scaled_by_2"] == pytest.approx(2 * figures["plain"])
        assert "reasons" not in figures
    # Lower is better, so that the cap is the least that counts.
    assert measure(metrics, reference, reference)[0]["mse"] == 0.001


def test_a_metric_that_fails_gives_nan_and_its_reason(own: str) -> None:
    dark, bright = torch.full((1, 3, 8, 8), 0.2), torch.full((1, 3, 8, 8), 0.8)
    both = torch.cat([dark, bright])
    metrics = make_metrics([f"{own}:picky", f"{own}:wrong", "psnr"])
    one, two = measure(metrics, both, both)
    assert one["picky"] == pytest.approx(0.2)
    assert math.isnan(two["picky"])
    assert two["reasons"]["picky"] == "ValueError: too bright"
    assert one["reasons"] == {
        "wrong": "TypeError: it returned (7,) for 1 pictures; it must be (B,)"
    }
    assert (one["psnr_db"], two["psnr_db"]) == (100.0, 100.0)


def test_a_function_and_a_given_name() -> None:
    def darkness(image: Tensor, reference: Tensor) -> Tensor:
        return 1 - image.mean(dim=(1, 2, 3))

    (metric,) = make_metrics([darkness])
    assert metric.quantity == Quantity("darkness", "darkness", "darkness")
    METRICS.register("given-here")(darkness)
    (metric,) = make_metrics("given-here")
    assert metric.quantity.key == "given_here"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["nothing"], r"unknown metric 'nothing': choose from psnr, ms-ssim, ssim, lpips"),
        ([], "no metric is left"),
        (["{own}:seconds"], "an entry of the results called seconds too"),
        (["{own}:mse", "/.{own}:mse"], "called mse too"),
        (["{own}:NUMBER"], "is no function of|cannot be called"),
        (["{own}:one"], r"one: cannot be called with \(image, reference\)"),
        (["{own}:scaled:of=2"], "cannot be called with"),
        (["{own}:Power:q=2"], "metric .*Power:q=2: .*unexpected"),
        (["lpips:net=vgg"], "choose from alex, squeeze"),
    ],
)
def test_refused(own: str, asked: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_metrics([text.replace("{own}", own) for text in asked])


def test_what_a_file_says_of_its_metrics() -> None:
    metrics = make_metrics(DEFAULT)
    quantities = tuple(metric.quantity for metric in metrics)
    own = Quantity("./mine.py:lpips", "lpips", "LPIPS", False)
    told = [quantity.record() for quantity in (*quantities, own)]
    assert read_quantities({"metrics": told}) == (*quantities, own)
    # Files of before.
    assert read_quantities({"ms_ssim": True}) == quantities
    assert read_quantities({"ms_ssim": False}) == quantities[:1]
    for damaged in ([], [{"name": "a"}], [{**told[0], "key": 3}], [3]):
        with pytest.raises((KeyError, TypeError, ValueError)):
            read_quantities({"metrics": damaged})
    assert (own.axis, quantities[0].axis) == ("LPIPS, lower is better", "PSNR (dB)")


def test_the_example() -> None:
    file = Path(__file__).parents[3] / "examples" / "own_metric.py"
    image, reference = pair(pictures=1)
    (metric,) = make_metrics([f"{file}:edge_error"])
    assert not metric.quantity.higher_is_better
    error = as_file(image) - reference.double().numpy()
    expected = sum(abs(np.diff(error, axis=axis)).mean() for axis in (2, 3))
    (figures,) = metric.measure(image, reference)
    assert figures["edge_error"] == pytest.approx(expected, rel=1e-5)
