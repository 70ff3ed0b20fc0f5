"""CompressAI's wrappers, with programs and weights made for the test."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.codecs import codec
from benchmarks.codecs.external import LEARNED, Learned
from witt.errors import InputError
from witt.pictures.images import Pixels, to_pixels, to_tensor

pytest.importorskip("compressai")

# "Encoders" that keep the picture as it is and add as many bytes as the QP says.
BPG_ENCODER = """
import argparse, pathlib
parser = argparse.ArgumentParser()
for option in "oqfecb":
    parser.add_argument("-" + option)
parser.add_argument("picture")
args = parser.parse_args()
assert (args.f, args.e, args.c, args.b) == ("444", "x265", "ycbcr", "8")
pathlib.Path(args.o).write_bytes(pathlib.Path(args.picture).read_bytes() + bytes(int(args.q)))
"""
BPG_DECODER = """
import shutil, sys
shutil.copy(sys.argv[3], sys.argv[2])
"""
RAW_ENCODER = """
import argparse, pathlib
parser = argparse.ArgumentParser()
for option in ("i", "c", "q", "o", "b", "wdt", "hgt", "fr", "f"):
    parser.add_argument("-" + option)
args, _ = parser.parse_known_args()
data = pathlib.Path(args.i).read_bytes()
assert len(data) == 3 * int(args.wdt) * int(args.hgt)
assert "intra" in pathlib.Path(args.c).read_text()
pathlib.Path(args.b).write_bytes(data + bytes(int(args.q)))
"""
RAW_DECODER = """
import argparse, pathlib
parser = argparse.ArgumentParser()
for option in "bod":
    parser.add_argument("-" + option)
args = parser.parse_args()
data = pathlib.Path(args.b).read_bytes()
pathlib.Path(args.o).write_bytes(data[: len(data) - PADDING])
"""
FAILING = """
import sys
print("out of\\nluck")
sys.exit(3)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, alone on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("WITT_VTM_CONFIG", "WITT_HM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return folder


def install(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


def test_bpg_is_run_at_the_settings_of_the_published_line(programs: Path, pixels: Pixels) -> None:
    install(programs, "bpgenc", BPG_ENCODER)
    with pytest.raises(InputError, match="bpg: bpgdec is not on PATH"):
        codec("bpg").check()
    install(programs, "bpgdec", BPG_DECODER)
    own = codec("bpg")
    own.check()
    sizes = []
    for quality in (own.qualities[0], own.qualities[-1]):
        encoded = own.encode(pixels, quality)
        assert np.array_equal(encoded.pixels, pixels)
        assert encoded.payload_bytes == encoded.file_bytes
        assert encoded.quality == quality
        sizes.append(encoded.file_bytes)
    # The worst quality is QP 51, the best QP 0.
    assert sizes[0] - sizes[1] == 51


def test_what_a_failing_program_says_is_shown_in_one_line(
    programs: Path, pixels: Pixels, capsys: pytest.CaptureFixture[str]
) -> None:
    install(programs, "bpgenc", FAILING)
    install(programs, "bpgdec", BPG_DECODER)
    with pytest.raises(InputError, match=r"^bpg: bpgenc or bpgdec failed: out of luck$"):
        codec("bpg").encode(pixels, 20)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "encoder", "decoder", "config", "qp"),
    [
        ("vtm", "EncoderAppStatic", "DecoderAppStatic", "encoder_intra_vtm.cfg", 63),
        ("hm", "TAppEncoderStatic", "TAppDecoderStatic", "encoder_intra_main_scc.cfg", 51),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the programs are called otherwise there")
def test_reference_software(
    name: str, encoder: str, decoder: str, config: str, qp: int, programs: Path, pixels: Pixels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    own = codec(name)
    with pytest.raises(InputError, match=f"{name}: {encoder} is not on PATH"):
        own.check()
    install(programs, encoder, RAW_ENCODER)
    install(programs, decoder, RAW_DECODER.replace("PADDING", str(qp)))
    with pytest.raises(InputError, match=rf"{name}: .*{config}.*WITT_{name.upper()}_CONFIG"):
        own.check()
    # As the software is built: bin and cfg beside each other.
    (programs.parent / "cfg").mkdir()
    path = programs.parent / "cfg" / config
    path.write_text("intra")
    own.check()
    elsewhere = path.rename(programs.parent / "mine.cfg")
    monkeypatch.setenv(f"WITT_{name.upper()}_CONFIG", str(elsewhere))
    encoded = own.encode(pixels, own.qualities[0])
    assert encoded.file_bytes == pixels.size + qp
    # Through YCbCr of 8 bits and back, both cut off and not rounded by CompressAI.
    assert np.abs(encoded.pixels.astype(int) - pixels).max() <= 5
    monkeypatch.setenv(f"WITT_{name.upper()}_CONFIG", os.devnull + "/none")
    with pytest.raises(InputError, match="is not there"):
        own.encode(pixels, 0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch Hub's folder, with no weights in it, and no network to get them from."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def _no_network(*args: object, **kwargs: object) -> None:
    raise AssertionError("tried to download")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_learned_codec_sends_its_strings(hub: Path, pixels: Pixels) -> None:
    from compressai.models import ScaleHyperprior

    own = codec("bmshj2018-hyperprior")
    assert list(own.qualities) == []
    with pytest.raises(InputError, match=r"no weights in .*hyperprior-1-7eb97409"):
        own.check()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ScaleHyperprior(128, 192)
    model.update()
    torch.save(model.state_dict(), hub / "bmshj2018-hyperprior-2-93677231.pth.tar")
    assert list(own.qualities) == [2]
    own.check()
    encoded = own.encode(pixels, 2)
    # 80 by 112, padded to 128 by 128; without entropy coding the model gives the same picture.
    with torch.no_grad():
        x = torch.nn.functional.pad(to_tensor(pixels), (0, 16, 0, 48), mode="replicate")
        output = model.eval()(x)
    expected = to_pixels(output["x_hat"][..., :80, :112])
    assert np.abs(encoded.pixels.astype(int) - expected).max() <= 1
    # The strings take what the model's probabilities say, and a little.
    bits = -sum(float(likelihood.log2().sum()) for likelihood in output["likelihoods"].values())
    assert bits / 8 - 8 < encoded.payload_bytes - 4 < 1.05 * bits / 8 + 64
    with pytest.raises(ValueError, match="no quality 1; there are 2 to 2"):
        own.encode(pixels, 1)
    (hub / "bmshj2018-hyperprior-2-93677231.pth.tar").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"93677231.pth.tar: cannot be read"):
        Learned("bmshj2018-hyperprior").encode(pixels, 2)


@pytest.mark.parametrize("name", LEARNED)
def test_every_learned_codec_is_in_the_zoo(name: str, hub: Path) -> None:
    with pytest.raises(InputError, match=f"{name}: no weights in"):
        codec(name).check()


@pytest.mark.parametrize("name", ["bpg", "mbt2018"])
def test_without_compressai_it_says_what_to_install(
    name: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(programs, "bpgenc", BPG_ENCODER)
    install(programs, "bpgdec", BPG_DECODER)
    for module in ("compressai.utils.bench.codecs", "compressai.zoo.image"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"{name} needs .*pip install 'witt\[baselines\]'"):
        codec(name).check()
