"""Schemes by name, and the bounds against closed forms."""

import hashlib
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.codecs import codec
from benchmarks.codecs.search import Searched
from benchmarks.schemes.bounds import OUTAGE, AtCapacity, capacity
from benchmarks.schemes.jscc import Jscc
from benchmarks.schemes.registry import make_schemes, name_weights
from benchmarks.schemes.softcast import SoftCast
from benchmarks.schemes.training import trained, training_record
from benchmarks.sweep.foreign import read_link
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import read_image, to_pixels
from witt.store.weights import resolve, shipped

SAMPLE = Path(__file__).parents[3] / "witt" / "samples" / "kodim23.png"


def test_names_make_their_schemes(weights: Path) -> None:
    names = ["witt_light", "mine", "softcast", "jpeg+capacity", "jpeg+ldpc", "jpeg+ldpc:16qam-1/2"]
    schemes = make_schemes(names, {"mine": weights})
    assert [scheme.name for scheme in schemes] == names
    assert [s.family for s in schemes] == ["witt_light", "mine", "softcast", "jpeg", "jpeg", "jpeg"]


def test_witt_is_the_network_of_the_paper(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("softcast", "witt", "witt+adapt:5")
    ours = {"witt_light": weights, "witt_cifar_light": weights}
    monkeypatch.setattr("benchmarks.schemes.registry.shipped", lambda: ours)
    names, note = name_weights(asked, {}, tiles=False)
    assert names == ("softcast", "witt_light", "witt_light+adapt:5")
    assert note is not None
    assert note.startswith("witt is witt_light here: witt_base, the network of the paper, comes ")
    assert name_weights(asked, {}, tiles=True).names[1] == "witt_cifar_light"
    theirs = {**ours, "witt_base": weights, "witt_cifar": weights}
    monkeypatch.setattr("benchmarks.schemes.registry.shipped", lambda: theirs)
    assert name_weights(asked, {}, tiles=False) == (
        ("softcast", "witt_base", "witt_base+adapt:5"),
        "witt is witt_base here",
    )
    assert name_weights(("witt", "witt_cifar"), {}, tiles=True).names == ("witt_cifar",)
    assert name_weights(asked, {"witt": weights}, tiles=False) == (asked, None)
    assert name_weights(("witt_light", "hevc+ldpc"), {}, tiles=False).note is None


def test_the_old_name_of_softcast_still_works() -> None:
    assert name_weights(("linear", "softcast", "jpeg+ldpc"), {}, False).names == (
        "softcast",
        "jpeg+ldpc",
    )
    assert name_weights(("linear",), {"linear": SAMPLE}, tiles=False).names == ("linear",)


def test_a_record_tells_weights_and_training(weights: Path) -> None:
    record = Jscc("mine", weights).record()
    assert record["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["training"] == {
        "steps": 7,
        "hours": {"a machine not named": 0.5},
        "channels": ["awgn"],
        "data": None,
    }
    with pytest.raises(InputError, match=r"kodim23\.png: not a safetensors file"):
        Jscc("mine", SAMPLE).record()


def test_training_of_runs_that_went_on_from_each_other() -> None:
    told = training_record(shipped()["witt_light_ms_ssim"])
    assert sum(told["hours"].values()) == pytest.approx(2.362, abs=1e-3)  # what its card says
    assert trained(training_record(shipped()["witt_light"])) == (
        "13,438 steps, 17 min on 1 NVIDIA H100 GPU; 784 photographs"
    )
    assert trained({"steps": None, "hours": {}, "data": None}) == "no training is on record"


def test_the_record_follows_the_code(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights in code that computes something else are another scheme."""
    before, softcast = Jscc("mine", weights).record(), SoftCast().record()
    assert Jscc("mine", weights).record() == before
    monkeypatch.setattr("benchmarks.schemes.jscc.to_pixels", lambda image: to_pixels(0.9 * image))
    monkeypatch.setattr("benchmarks.schemes.softcast.PRECODER_LENGTH", 1)
    after = Jscc("mine", weights).record()
    assert {key for key in before if before[key] != after[key]} == {"probe_psnr_db"}
    assert softcast["probe_psnr_db"] != SoftCast().record()["probe_psnr_db"]


def test_what_is_said_against_a_request_is_kept(weights: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    far, near = (
        Jscc("mine", weights).send([pixels], Link(), snr, 1 / 16, [7])[0] for snr in (60, 5)
    )
    (line,) = far.info["warnings"]
    assert "60 dB" in line
    assert "warnings" not in near.info


def test_a_channel_that_was_not_trained_for_is_in_the_results() -> None:
    """`deepjscc` knows what its record says; Rician fading is none of it."""
    sent = Jscc("deepjscc", resolve("deepjscc")).send(
        [np.zeros((32, 32, 3), np.uint8)], Link("rician"), 5.0, 1 / 16, [7]
    )
    (line,) = sent[0].info["warnings"]
    assert "deepjscc was not trained for" in line


def test_a_model_may_adapt_what_it_sends() -> None:
    plain, adapted = make_schemes(["mine", "mine+adapt:2"], {"mine": "witt_light"})
    assert isinstance(adapted, Jscc)
    assert (adapted.name, adapted.adapt) == ("mine+adapt:2", 2)
    assert pickle.loads(pickle.dumps(adapted)).adapt == 2
    pixels = read_image(SAMPLE).pixels[200:264, 300:364]
    before, after = (one.send([pixels], Link(), 10.0, 1 / 16, [3])[0] for one in (plain, adapted))
    assert before.channel_uses == after.channel_uses
    assert before.pixels is not None
    assert after.pixels is not None
    was, now = ((one.pixels - pixels.astype(float)) ** 2 for one in (before, after))
    assert now.mean() < was.mean()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bitt", "'bitt'.*softcast"),
        ("gif+ldpc", "'gif'.*jpeg2000"),
        ("jpeg+magic", "jpeg.magic"),
        ("jpeg+adapt:2", "adapt:STEPS"),
        ("witt_light+adapt:0", "adapt:5"),
        ("witt_light+adapt", "adapt:5"),
    ],
)
def test_unknown_names_list_the_choices(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_schemes([name], {})


def test_capacity_of_each_channel() -> None:
    assert capacity(Link(), 10.0) == pytest.approx(math.log2(11))
    # Monte Carlo over the gains, 4 sigma.
    power = np.random.default_rng(0).exponential(size=200_000)
    rates = np.log2(1 + 10 * power)
    sigma = rates.std() / math.sqrt(len(rates))
    assert capacity(Link("rayleigh"), 10.0) == pytest.approx(rates.mean(), abs=4 * sigma)
    rate = capacity(Link("rayleigh", fading="block"), 10.0)
    outages = (rates < rate).mean()
    assert outages == pytest.approx(OUTAGE, abs=4 * math.sqrt(OUTAGE / len(rates)))
    held = Link("rayleigh", fading="block", coherence=100)
    with pytest.raises(InputError, match="no capacity"):
        capacity(held, 10.0)
    # A channel of somebody's own is none of ours, whatever it leaves out.
    own = {"channel": "tropo", "fading": None, "coherence": None, "k_factor_db": None}
    with pytest.raises(InputError, match="no capacity for Tropo"):
        capacity(read_link(own, "Tropo"), 10.0)
    pixels = read_image(SAMPLE).pixels[:32, :32]
    (sent,) = AtCapacity("jpeg", Searched(codec("jpeg"))).send([pixels], held, 10.0, 1 / 6, [0])
    assert sent.pixels is None
    assert "no capacity" in sent.info["reason"]


def test_at_capacity_sends_the_best_that_fits() -> None:
    pixels = read_image(SAMPLE).pixels[:128, :128]
    searched = Searched(codec("jpeg"))
    scheme = AtCapacity("jpeg", searched)
    few, many = (scheme.send([pixels], Link(), snr, 1 / 6, [0])[0] for snr in (5.0, 15.0))
    assert few.pixels is not None
    assert many.pixels is not None
    errors = [((s.astype(float) - pixels) ** 2).mean() for s in (few.pixels, many.pixels)]
    assert errors[1] < errors[0]
    uses = int(128 * 128 * 3 / 6)
    assert few.channel_uses == many.channel_uses == uses
    assert 8 * few.info["payload_bytes"] <= uses * math.log2(1 + 10**0.5)
    lost = scheme.send([pixels], Link(), -20.0, 1 / 48, [0])[0]
    assert lost.pixels is None
    assert "bytes" in lost.info["reason"]


def test_lost_pictures_of_block_fading_are_as_many_as_the_outage() -> None:
    pixels = np.full((16, 16, 3), 200, np.uint8)
    count = 3000
    link = Link("rayleigh", fading="block")
    scheme = AtCapacity("jpeg", Searched(codec("jpeg")))
    sent = scheme.send([pixels] * count, link, 40.0, 8.0, list(range(count)))
    lost = sum(one.info["lost"] for one in sent)
    assert abs(lost - count * OUTAGE) < 4 * math.sqrt(count * OUTAGE)


@pytest.mark.parametrize("way", ["coded", "ideal"])
def test_a_model_gives_what_transmit_gives(way: str, weights: Path) -> None:
    import witt
    from witt.link.transmission import transmit

    pixels, at = read_image(SAMPLE).pixels[:96, :128], (Link("rayleigh"), 5.0, 1 / 16)
    (got,) = Jscc("mine", weights, side_information=way).send([pixels], *at, [7])
    (draw,) = transmit(pixels, witt.load(weights), *at, seed=7, side_information=way)
    assert got.pixels is not None
    np.testing.assert_array_equal(got.pixels, draw.pixels)
    assert got.channel_uses == draw.sent.symbols.shape[1]
    assert got.info["header_bits"] == draw.sent.header_bits


@pytest.mark.parametrize("way", ["coded", "ideal"])
@pytest.mark.parametrize("link", [Link(), Link("rayleigh"), Link("rician", "block")])
def test_pictures_of_a_call_do_not_touch_each_other(weights: Path, link: Link, way: str) -> None:
    """Small ones go through the model together, each with the noise of its own seed."""
    random = np.random.default_rng(0)
    sizes = [(64, 64)] * 3 + [(48, 80)] + [(64, 64)]
    pictures = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    seeds = [5, 6, 7, 8, 9]
    scheme = Jscc("mine", weights, side_information=way)
    together = scheme.send(pictures, link, 5.0, 1 / 8, seeds)
    for pixels, seed, got in zip(pictures, seeds, together, strict=True):
        (alone,) = scheme.send([pixels], link, 5.0, 1 / 8, [seed])
        assert got.pixels is not None
        assert alone.pixels is not None
        assert got.channel_uses == alone.channel_uses
        # Sums of another order may round the other way.
        assert int(np.abs(got.pixels.astype(int) - alone.pixels).max()) <= 1
        assert float((got.pixels != alone.pixels).mean()) < 0.001


@pytest.mark.parametrize(
    ("side", "cbr", "said"),
    [(32, 1 / 2, "not served"), (3, 1 / 48, "cannot be sent at CBR")],
)
def test_what_a_model_cannot_send_has_a_reason(
    weights: Path, side: int, cbr: float, said: str
) -> None:
    pixels = np.zeros((side, side, 3), np.uint8)
    (got,) = Jscc("mine", weights).send([pixels], Link(), 5.0, cbr, [7])
    assert got.pixels is None
    assert said in got.info["reason"]
