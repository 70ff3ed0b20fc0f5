"""The mixer in windows, against timm's block and a loop."""

import pytest
import torch
from timm.models.mlp_mixer import MixerBlock

from tests.witt.nn.blocks.oracle import layer_norm, mlp, weights
from tests.witt.nn.blocks.test_every_block import DIM, WINDOW, made, normal


def test_on_a_map_of_one_window_it_is_the_block_of_the_paper() -> None:
    ours = made("mixer", depth=1)[0]
    theirs = MixerBlock(DIM, WINDOW**2, (0.5, 2.0)).double()
    theirs.load_state_dict(ours.state_dict())
    x = normal(3, WINDOW, WINDOW, DIM)
    expected = theirs(x.flatten(1, 2)).view_as(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("size", [(8, 12), (7, 5), (1, 2)], ids=str)
def test_windows_one_by_one(index: int, size: tuple[int, int]) -> None:
    """The second block's windows begin two tokens before the map; beyond the map there is 0."""
    block, x = made("mixer")[index], normal(1, *size, DIM)
    w, before = weights(block), 2 * index
    tokens = x[0].numpy()
    normed = layer_norm(tokens, w, "norm1", 1e-6)
    mixed = tokens.copy()
    for top in range(-before, size[0], WINDOW):
        for left in range(-before, size[1], WINDOW):
            places = [(top + i, left + j) for i in range(WINDOW) for j in range(WINDOW)]
            real = [(y, x) for y, x in places if 0 <= y < size[0] and 0 <= x < size[1]]
            window = torch.zeros(len(places), DIM, dtype=torch.float64).numpy()
            for n, place in enumerate(places):
                if place in real:
                    window[n] = normed[place]
            out = mlp(window.T, w, "mlp_tokens").T
            for n, place in enumerate(places):
                if place in real:
                    mixed[place] += out[n]
    mixed = mixed + mlp(layer_norm(mixed, w, "norm2", 1e-6), w, "mlp_channels")
    torch.testing.assert_close(block(x)[0], torch.from_numpy(mixed), rtol=1e-9, atol=1e-9)
