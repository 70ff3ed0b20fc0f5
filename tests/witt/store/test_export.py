"""ONNX files against torch in onnxruntime, for sizes, rates and kinds of models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cli
import witt
from witt.codecs.graphs import DecoderGraph, EncoderGraph
from witt.registry import BLOCKS
from witt.store.onnx import export_onnx
from witt.store.weights import save_weights

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES: dict[str, Any] = {"window": 2, "patch": 4, "channels": 8, "modnet_layers": 1}
FULL = {"rate_adaptive": True, "classes": 3, "smooth_channels": 2, "sends_scale": True}


CNN = {"kernel": 3}


def build(**entries: Any) -> Any:
    """Of one stage: the time that an export takes follows the number of layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if "kernel" in entries:
            sizes = {"patch": 4, "channels": 8, **entries}
            model = witt.DeepJSCC(witt.DeepJSCCConfig("tiny", (8,), (2,), **sizes))
        else:
            kind: Any = witt.WITTConfig
            made: Any = witt.WITT
            if entries.pop("masked", False):
                kind, made = witt.SwinJSCCConfig, witt.SwinJSCC
            elif "classes" in entries:
                kind, made = witt.ClassifiedConfig, witt.ClassifiedCodec
            model = made(kind("tiny", (8,), (2,), (2,), **{**SIZES, **entries}))
    with torch.no_grad():
        for parameter in model.parameters():  # none at 0, so that every part counts
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator()))
        if isinstance(model, witt.ClassifiedCodec):
            own = model.code.log_variance
            own.copy_(torch.linspace(0, -6, own.numel()).reshape(own.shape[::-1]).T)
            model.code.rotation[1] = torch.eye(len(own[0])).flip(0)
    return model.eval()


def test_graphs_do_what_the_model_does() -> None:
    """What is exported, still in torch: without complex numbers, padded, below the highest rate."""
    model, size, cbr, snr_db = build(**FULL), (9, 14), 1 / 16, torch.tensor([3.0])
    k = model.feature_channels(size, cbr)
    assert k < model.config.channels
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        symbols, header = model.encode(image, snr_db, cbr)
        noise_var = torch.linspace(0.1, 0.9, symbols.shape[1])[None]
        expected = model.decode(symbols, header, noise_var)
        sent, scaled, told = EncoderGraph(model, size, k)(image, snr_db)
        received = DecoderGraph(model, size, k)(sent, snr_db, noise_var, scaled, told)
    torch.testing.assert_close(sent, torch.view_as_real(symbols), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled, header.get("scale"), atol=0, rtol=2**-10)
    assert torch.equal(told, header.get("class map"))
    torch.testing.assert_close(received, expected, atol=1e-4, rtol=0)


def test_the_mask_is_an_output_and_an_input() -> None:
    model, size, cbr, snr_db = build(masked=True), (9, 14), 1 / 24, torch.tensor([3.0])
    k = model.feature_channels(size, cbr)
    assert k < model.config.channels
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        symbols, header = model.encode(image, snr_db, cbr)
        expected = model.decode(symbols, header)
        sent, scaled, mask = EncoderGraph(model, size, k)(image, snr_db)
        received = DecoderGraph(model, size, k)(sent, snr_db, scale=scaled, mask=mask)
    # The codec scales by what the header holds of the scale, a float16.
    torch.testing.assert_close(sent, torch.view_as_real(symbols), atol=1e-6, rtol=2**-10)
    assert torch.equal(mask, header.get("mask"))
    torch.testing.assert_close(received, expected, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_files_with_a_mask(tmp_path: Path) -> None:
    model, size, cbr = build(masked=True), (9, 14), 1 / 24
    exported = export_onnx(model, tmp_path, size, cbr)
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        symbols, header = model.encode(image, 3.0, cbr)
        expected = model.decode(symbols, header)
    sessions = [onnxruntime.InferenceSession(e.path) for e in exported]
    snr = np.array([3.0], np.float32)
    sent, scaled, mask = sessions[0].run(None, {"image": image.numpy(), "snr_db": snr})
    assert np.array_equal(mask, header.get("mask"))
    taken = {"symbols": sent, "snr_db": snr, "scale": scaled, "mask": mask}
    (received,) = sessions[1].run(None, taken)
    np.testing.assert_allclose(received, expected.numpy(), atol=1e-3)  # of the scale's rounding


@pytest.mark.slow
def test_files_do_what_the_model_does(tmp_path: Path) -> None:
    """A size that is padded and a rate below the highest, at another SNR than was checked."""
    model, size, cbr, snr_db = build(**FULL), (9, 14), 1 / 16, 3.0
    exported = export_onnx(model, tmp_path, size, cbr)
    assert [e.path.name for e in exported] == ["encoder.onnx", "decoder.onnx"]
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        symbols, header = model.encode(image, snr_db, cbr)
        noise_var = torch.linspace(0.1, 0.9, symbols.shape[1])[None]
        expected = model.decode(symbols, header, noise_var)
    sessions = [onnxruntime.InferenceSession(e.path) for e in exported]
    snr = np.array([snr_db], np.float32)
    sent, scaled, told = sessions[0].run(None, {"image": image.numpy(), "snr_db": snr})
    np.testing.assert_allclose(sent, torch.view_as_real(symbols).numpy(), atol=1e-5)
    np.testing.assert_allclose(scaled, header.get("scale").numpy(), rtol=2**-10)
    taken = {"symbols": sent, "snr_db": snr, "noise_var": noise_var.numpy(), "scale": scaled}
    taken["classes"] = told
    assert np.array_equal(told, header.get("class map"))
    (received,) = sessions[1].run(None, taken)
    assert received.shape == (1, 3, *size)
    np.testing.assert_allclose(received, expected.numpy(), atol=1e-4)
    (entry,) = onnx.load(exported[0].path).metadata_props
    facts = json.loads(entry.value)
    assert witt.ClassifiedConfig.from_dict(facts["config"]) == model.config
    assert (facts["size"], facts["part"]) == ([9, 14], "encoder")


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS.names())
@pytest.mark.parametrize("size", [(9, 14), (68, 70)], ids=str)
def test_every_kind_of_block(block: str, size: tuple[int, int], tmp_path: Path) -> None:
    """Sizes that are padded, of less than a window or region, and of more; two blocks."""
    entries = {"block": block, "mlp_ratio": 2.0, "sends_scale": True}
    sizes = {**SIZES, "patch": 2, "window": 4, **entries}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = witt.WITT(witt.WITTConfig("tiny", (8, 8), (2, 1), (2, 2), **sizes))
        model.initialise()
    encoder, decoder = export_onnx(model.eval(), tmp_path, size)
    assert encoder.difference < 1e-3  # the scale may be rounded to its float16 neighbour
    assert decoder.difference < 1e-4


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", *map(str, args)])
    return int(stop.value.code or 0)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CNN needs neither noise level nor scale."""
    weights, out = tmp_path / "tiny.safetensors", tmp_path / "out"
    save_weights(weights, build(**CNN), {})
    assert run("--weights", weights, "--size", "12x8", "-o", out) == 0
    assert sorted(p.name for p in out.iterdir()) == ["decoder.onnx", "encoder.onnx"]
    expected = "decoder.onnx: takes symbols [1, 24, 2], snr_db [1]; within "
    assert expected in capsys.readouterr().out


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witt.store.onnx.TOLERANCE", -1.0)
    with pytest.raises(witt.InputError, match=r"encoder\.onnx: not written, since its result is"):
        export_onnx(build(**CNN), tmp_path, (4, 4))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", ["768", "0x4", "9000x4", "axb", "-1x4"])
def test_refuses_sizes(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--size", size) == 2
    assert "is not a size: give width and height like 768x512" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(witt.shipped()))
def test_shipped_weights(name: str, tmp_path: Path) -> None:
    # Where the scale is sent, sums in another order may round it to its float16 neighbour, 2^-10
    # from it at most, and with it all symbols.
    model = witt.load(name)
    rounding = 1e-3 if model.sends_scale else 1e-4
    encoder, decoder = export_onnx(model, tmp_path, (64, 96))
    assert encoder.difference < rounding
    assert decoder.difference < 1e-4
