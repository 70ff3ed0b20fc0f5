"""Codecs and schemes of one's own, by file and name."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import cli
from benchmarks.schemes.jscc import Jscc
from benchmarks.schemes.own import split_sources
from benchmarks.schemes.registry import ideal_schemes, make_schemes
from witt.errors import InputError
from witt.link.conditions import Link
from witt.registry import SCHEMES

OWN = """
import numpy as np
import torch
import channels
from benchmarks.schemes.scheme import OneByOne, Sent
from witt.contract import Encoded, Header

class Pixels:  # no `Codec`, and no module: encode and decode are enough
    def __init__(self, loud=1.0):
        self.loud = loud

    def encode(self, image, snr_db, cbr=None):
        values = (image - 0.5).flatten(1).unflatten(1, (-1, 2))
        x = channels.normalise_power(torch.view_as_complex(values.contiguous())).x
        return Encoded(self.loud * x, Header.of(image, snr_db))

    def decode(self, symbols, header, noise_var=None):
        values = torch.view_as_real(symbols).flatten(1)
        return 0.5 + values.unflatten(1, (3, *header.size)) / 4

class Grey(OneByOne):
    def __init__(self, level=128):
        self.level = level

    def send_one(self, pixels, link, snr_db, cbr, seed):
        return Sent(np.full_like(pixels, self.level), 1, {})

class Neither:
    pass

class Bare(Pixels):
    def encode(self, image, snr_db, cbr=None):
        return super().encode(image, snr_db).symbols

class Shapeless(Pixels):
    def encode(self, image, snr_db, cbr=None):
        return Encoded(torch.zeros(3), Header.of(image, snr_db))

def made():
    return Pixels()
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("texts", "names", "sources"),
    [
        (("witt_light", "softcast"), ("witt_light", "softcast"), {}),
        (("a=./m.py:C:q=3",), ("a",), {"a": "./m.py:C:q=3"}),
        (("./m.py:C:q=3",), ("C:q=3",), {"C:q=3": "./m.py:C:q=3"}),
        (("my_codec:q=3",), ("my_codec:q=3",), {}),
        (("a=runs/a", "a+adapt:5"), ("a", "a+adapt:5"), {"a": "runs/a"}),
    ],
)
def test_names_and_sources(
    texts: tuple[str, ...], names: tuple[str, ...], sources: dict[str, str]
) -> None:
    assert split_sources(texts) == (names, sources)


@pytest.mark.parametrize("texts", [("a=",), ("=./m.py:C",), ("a=x", "a=y")])
def test_what_is_no_name_and_source(texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="--schemes"):
        split_sources(texts)


def test_what_encodes_and_decodes_is_a_scheme(own: Path) -> None:
    for source in (f"{own}:Pixels", f"{own}:made"):
        (scheme,) = ideal_schemes(["mine"], {"mine": source})
        (sent,) = scheme.send([pixels()], Link(), 60.0, 1.0, [1])
        assert (sent.channel_uses, sent.info["header_bits"]) == (8 * 8 * 3 // 2, 56)
        (coded,) = make_schemes(["mine"], {"mine": source})[0].send(
            [pixels()], Link(), 60.0, 1.0, [1]
        )
        assert coded.channel_uses == sent.channel_uses + coded.info["side_uses"]
        assert coded.info["uses_on_top"] == coded.info["side_uses"] == 108
        assert coded.info["side_information_lost"] is False
        assert np.array_equal(coded.pixels, sent.pixels)
        again = pickle.loads(pickle.dumps(scheme)).send([pixels()], Link(), 60.0, 1.0, [1])[0]
        assert np.array_equal(again.pixels, sent.pixels)
        few, many = (scheme.send([pixels()], Link(), snr, 1.0, [1])[0] for snr in (60, 0))
        assert np.array_equal(few.pixels, sent.pixels)
        assert not np.array_equal(few.pixels, many.pixels)


def test_what_sends_is_a_scheme(own: Path) -> None:
    (scheme,) = make_schemes(["grey"], {"grey": f"{own}:Grey:level=7"})
    assert (scheme.name, scheme.family) == ("grey", "grey")
    assert (scheme.send([pixels()], Link(), 1.0, 1.0, [0])[0].pixels == 7).all()


def test_weights_by_source(weights: Path) -> None:
    (scheme,) = make_schemes(["mine"], {"mine": str(weights)})
    assert scheme.record() == Jscc("mine", weights).record()


def test_a_registered_scheme() -> None:
    class Black:
        def send(self, pictures, link, snr_db, cbr, seeds):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    SCHEMES.register("black")(Black)
    try:
        assert make_schemes(["black"], {})[0].name == "black"
        with pytest.raises(InputError, match="softcast, black"):
            make_schemes(["white"], {})
    finally:
        SCHEMES._given.clear()


def test_the_record_follows_file_and_weights(own: Path) -> None:
    def record(name: str) -> dict[str, object]:
        return make_schemes(["mine"], {"mine": f"{own}:{name}"})[0].record()

    before = record("Pixels")
    assert before["source"] == f"{own}:Pixels"
    assert isinstance(before["probe_psnr_db"], float)
    version = record("Grey")["version"]
    assert version == before["version"]
    other = own.with_name("other.py")
    other.write_text(OWN + "\n")
    changed = make_schemes(["mine"], {"mine": f"{other}:Grey"})[0].record()
    assert changed["version"] != version


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Neither", "no scheme, which has send, and no codec"),
        ("Pixels:quiet=1", "unexpected keyword argument 'quiet'"),
        ("Other", "has nothing called Other"),
    ],
)
def test_what_is_no_scheme_is_refused(own: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_schemes(["mine"], {"mine": f"{own}:{name}"})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Pixels:loud=2", "mean power of 4, where 1 is allowed"),
        ("Bare", r"must return witt.Encoded\(symbols, header\)"),
        ("Shapeless", r"must return complex symbols \(1, N\), not \(3,\)"),
    ],
)
def test_what_keeps_to_no_contract_is_refused(own: Path, name: str, says: str) -> None:
    (scheme,) = make_schemes(["mine"], {"mine": f"{own}:{name}"})
    with pytest.raises(InputError, match=says):
        scheme.record()


def test_in_workers_from_the_command_line(own: Path, photos: Path, tmp_path: Path) -> None:
    """The file has no guard; workers load it for themselves. A channel of one's own goes along."""
    pytest.importorskip("distributed")
    channel = tmp_path / "channel.py"
    channel.write_text(
        "import torch, channels\n"
        "class Still(channels.Channel):\n"
        "    def draw(self, batch, n, *, dtype, device, generator):\n"
        "        return None, torch.zeros(batch, n, dtype=dtype)\n"
    )
    found = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.json"
        args = ["benchmark", "--dataset", photos, "--schemes", f"a={own}:Pixels,b={own}:Grey"]
        args += ["--snr", "5", "--cbr", "1", "--channel", f"{channel}:Still", "--jobs", jobs]
        with pytest.raises(SystemExit) as caught:
            cli.main([*map(str, args), "--no-ms-ssim", "-o", str(out)])
        assert caught.value.code == 0
        results = json.loads(out.read_text())
        found.append(results["cells"])
        assert list(results["schemes"]) == ["a", "b"]
    assert found[0] == found[1]
    assert torch.tensor(found[0][0]["images"]["psnr_db"]).isfinite().all()
