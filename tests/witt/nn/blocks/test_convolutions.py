"""The two kinds of convolutional blocks against timm's."""

import pytest
import torch
from timm.layers import LayerNormAct2d, create_conv2d
from timm.models.convnext import ConvNeXtBlock
from timm.models.resnetv2 import PreActBasic

from tests.witt.nn.blocks.test_every_block import DIM, made, normal
from witt.nn.blocks.resnet import ResidualBlock

every_size = pytest.mark.parametrize("size", [(16, 9), (3, 1)], ids=str)


@every_size
def test_convnext(size: tuple[int, int]) -> None:
    ours = made("convnext", depth=1)[0]
    theirs = ConvNeXtBlock(DIM, mlp_ratio=2, ls_init_value=None).double()
    theirs.load_state_dict(ours.state_dict())
    x = normal(2, *size, DIM)
    expected = theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-10)


@every_size
def test_resnet(size: tuple[int, int]) -> None:
    """timm's has multiples of 8 features between the convolutions: here as many as outside."""
    ours = ResidualBlock(DIM, 1.0).double()
    theirs = PreActBasic(DIM, conv_layer=create_conv2d, norm_layer=LayerNormAct2d).double()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(0.5 * normal(*parameter.shape, seed=len(name)))
    theirs.load_state_dict(ours.state_dict())
    x = normal(2, *size, DIM)
    expected = theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-10)


def test_any_width_between_the_convolutions() -> None:
    assert ResidualBlock(32, 0.8).conv1.out_channels == 25
