"""The presets that differ in their blocks: equal operations, and codecs like any other."""

from pathlib import Path
from typing import Any

import pytest
import torch

import witt
from witt.codecs.backbones import FRAMES, backbone_configs
from witt.codecs.presets import CONFIGS, codec_of, preset
from witt.codecs.published import export_published
from witt.codecs.witt import WITTConfig
from witt.commands.info import cost
from witt.errors import InputError
from witt.nn.meta import without_values
from witt.nn.swin import compile_blocks
from witt.registry import BLOCKS, PRESETS, backbone_preset

SIZES: dict[str, Any] = {
    "dims": (8, 12), "depths": (2, 2), "heads": (2, 3), "window": 2, "channels": 8,
    "modnet_layers": 1, "mlp_ratio": 2.0,
}  # fmt: skip
every_block = pytest.mark.parametrize("block", BLOCKS.names())


def tiny(block: str, **entries: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = codec_of(WITTConfig("tiny", block=block, **{**SIZES, **entries}))
        model.initialise()
    return model.eval()


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_has_every_block_at_the_same_operations(frame: str) -> None:
    """Within 2 % of Swin's, whose widths are those of the paper; the rest is the same."""
    assert tuple(FRAMES[frame].mlp_ratio) == BLOCKS.names()
    own = CONFIGS[frame]
    assert own.block == "swin"
    assert own.mlp_ratio == 4.0
    counts = {}
    for block in BLOCKS.names():
        config = CONFIGS[backbone_preset(frame, block)]
        assert config == WITTConfig.from_dict(
            {**own.to_dict(), "name": config.name, "block": block, "mlp_ratio": config.mlp_ratio}
        )
        made = without_values(lambda config=config: codec_of(config))
        counts[block] = cost(made, FRAMES[frame].side).flops_per_pixel
    for block, count in counts.items():
        assert count == pytest.approx(counts["swin"], rel=0.02), block


def test_the_rates_are_those_of_the_paper() -> None:
    assert CONFIGS["witt_narrow"].max_cbr == pytest.approx(1 / 16)
    assert CONFIGS["witt_cifar_narrow"].max_cbr == pytest.approx(1 / 3)


def test_all_are_named() -> None:
    assert set(backbone_configs()) <= set(PRESETS.names())
    assert PRESETS.make("witt_cifar_narrow_resnet", modnet_layers=1).config.block == "resnet"


@every_block
@pytest.mark.parametrize("size", [(1, 1), (17, 33)], ids=str)
def test_any_picture_through_a_channel(block: str, size: tuple[int, int]) -> None:
    model = tiny(block, sends_scale=True)
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        symbols, header = model.encode(image, 7.0)
        received = model.decode(symbols, header)
    assert received.shape == image.shape
    assert symbols.abs().square().mean().item() == pytest.approx(1.0, rel=1e-3)


@every_block
def test_weights_come_back(block: str, tmp_path: Path) -> None:
    model = tiny(block)
    witt.save_weights(tmp_path / "w.safetensors", model, {})
    again, _ = witt.load_weights(tmp_path / "w.safetensors")
    assert again.config == model.config
    image = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        symbols = [each.encode(image, 7.0).symbols for each in (model, again)]
    # Saved in 16 bits.
    torch.testing.assert_close(symbols[1], symbols[0], atol=0.02, rtol=0.02)


def test_configurations_of_before_are_swin() -> None:
    values = CONFIGS["witt_base"].to_dict()
    del values["block"], values["mlp_ratio"]
    assert WITTConfig.from_dict(values) == CONFIGS["witt_base"]
    assert CONFIGS["witt_base"].block == "swin"


def test_what_makes_no_blocks() -> None:
    with pytest.raises(InputError, match="unknown block 'swim': choose from swin, mixer"):
        preset("witt_narrow", block="swim")
    for ratio in (0.0, 0.01, float("inf"), float("nan")):
        with pytest.raises(InputError, match=f"mlp_ratio {ratio} gives the blocks no hidden"):
            preset("witt_narrow", mlp_ratio=ratio)


def test_the_published_code_has_swin_alone(tmp_path: Path) -> None:
    model = tiny("mixer", sends_scale=True)
    with pytest.raises(InputError, match="has mixer blocks, which the published code does not"):
        export_published(tmp_path / "m", model, (32, 32))
    assert not list(tmp_path.iterdir())


@every_block
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler to itself
def test_compiled_it_computes_the_same(block: str) -> None:
    model, compiled = tiny(block).train(), tiny(block).train()
    compile_blocks(compiled)
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    snr, k = torch.full((1,), 7.0), torch.full((1,), 8)
    features = [each.features(image, snr, k) for each in (model, compiled)]
    torch.testing.assert_close(features[1], features[0], atol=1e-4, rtol=1e-4)
