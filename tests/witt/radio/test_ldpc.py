"""The LDPC code: its words as Sionna's (kept here), its decoder against the definition."""

import numpy as np
import pytest
import torch

from tests.witt.radio.words import digest, word
from witt.radio.ldpc import BASE_GRAPHS, Ldpc, _check_nodes, choose_base_graph

# `word` of k bits in n with so many a symbol: the digest of the code word by Sionna 1.2.2.
BY_SIONNA = [
    (20, 40, 2, "22f8b389e8289d09"),
    (100, 264, 4, "9089a09e6eef2886"),
    (292, 402, 6, "7aec36f415674472"),
    (640, 2000, 2, "7e073514f55dd5be"),
    (1000, 4800, 8, "1165e73ee1c57603"),
    (3840, 7680, 4, "ea1557fd18b0c4ba"),
    (3841, 5124, 6, "a254549f72259cd2"),
    (8448, 9600, 8, "d47e9984c767a3d4"),
]


@pytest.mark.parametrize(("k", "n", "bits", "expected"), BY_SIONNA)
def test_words_are_those_of_sionna(k: int, n: int, bits: int, expected: str) -> None:
    assert digest(Ldpc(k, n, bits).encode(word(k)[None])[0]) == expected


def test_a_word_bit_by_bit() -> None:
    coded = Ldpc(20, 40, 2).encode(word(20)[None])
    assert np.packbits(coded).tobytes().hex() == "f8e6756cd2"


@pytest.mark.parametrize(
    ("k", "rate", "expected"),
    [
        (292, 0.9, 2),
        (293, 0.68, 1),
        (293, 0.67, 2),
        (3824, 0.67, 2),
        (3825, 0.5, 1),
        (9000, 0.25, 2),
    ],
)
def test_base_graph(k: int, rate: float, expected: int) -> None:
    """TS 38.212, section 7.2.2."""
    assert choose_base_graph(k, rate) == expected


@pytest.mark.parametrize(("k", "n"), [(30, 60), (300, 450), (1000, 9000), (6000, 8000)])
def test_every_check_holds(k: int, n: int) -> None:
    """The whole word of the base graph: all parity checks, not only those that are decoded."""
    code = Ldpc(k, n, 2)
    graph = BASE_GRAPHS[code.base_graph]
    circle = graph.columns * code.z - 2 * code.z - (graph.information * code.z - k)
    whole = Ldpc(k, circle + circle % 2, 2, code.base_graph)
    sent = whole.encode(np.stack([word(k), 1 - word(k)]))
    bits = np.zeros((2, graph.columns * code.z), np.uint8)
    bits[:, :k] = np.stack([word(k), 1 - word(k)])
    bits[:, whole._sent] = sent
    checks = [whole._places(row, code.z).numpy() for row in range(graph.rows)]
    assert sum(places.shape[1] for places in checks) == graph.rows * code.z
    for places in checks:
        assert not (bits[:, places].sum(axis=1) % 2).any()


@pytest.mark.parametrize(
    ("k", "n", "bits"),
    [(1, 40, 2), (12, 24, 4), (292, 320, 8), (640, 6000, 2), (3840, 4800, 6), (8448, 12000, 4)],
)
def test_without_noise_every_word_comes_back(k: int, n: int, bits: int) -> None:
    code = Ldpc(k, n, bits)
    sent = np.random.default_rng(n).integers(0, 2, (3, k), dtype=np.uint8)
    ratios = torch.from_numpy(8.0 * code.encode(sent) - 4)
    np.testing.assert_array_equal(code.decode(ratios), sent)


def test_check_nodes_are_exact() -> None:
    messages = torch.randn(7, 5, 4, generator=torch.Generator().manual_seed(0)).double() * 4
    expected = torch.empty_like(messages)
    for i in range(7):
        others = torch.cat([messages[:i], messages[i + 1 :]])
        expected[i] = 2 * torch.atanh(torch.tanh(others / 2).prod(0))
    got = torch.empty(7, 5, 4)
    _check_nodes(messages.float(), out=got)
    torch.testing.assert_close(got.double(), expected, rtol=2e-4, atol=2e-4)


def test_check_nodes_with_bits_of_which_nothing_is_known() -> None:
    """Only the unknown one is told anything; two of them in a check tell each other nothing."""
    messages = torch.tensor([[[0.0, 0.0]], [[3.0, 0.0]], [[-2.0, 5.0]]])
    got = torch.empty_like(messages)
    _check_nodes(messages, out=got)
    one = float(2 * np.arctanh(np.tanh(1.5) * np.tanh(-1)))
    expected = torch.tensor([[[one, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_blocks_beside_each_other_do_not_matter() -> None:
    """Some stop early, some never."""
    code = Ldpc(300, 600, 2)
    sent = np.random.default_rng(0).integers(0, 2, (8, 300), dtype=np.uint8)
    noise = np.random.default_rng(1).normal(size=(8, 600)) * np.linspace(0.2, 3, 8)[:, None]
    ratios = torch.from_numpy(4.0 * code.encode(sent) - 2 + noise)
    together = code.decode(ratios)
    alone = [code.decode(ratios[i : i + 1])[0] for i in range(8)]
    np.testing.assert_array_equal(together, alone)
    right = (together == sent).all(axis=1)
    assert right[0]
    assert not right[-1]


@pytest.mark.parametrize(
    ("k", "n", "bits", "graph"),
    [(0, 20, 2, 2), (3841, 9000, 2, 2), (100, 100, 2, 2), (30, 61, 2, 2)],
)
def test_codes_that_do_not_exist(k: int, n: int, bits: int, graph: int) -> None:
    with pytest.raises(ValueError, match=f"no LDPC code of {k} bits in {n} by base graph {graph}"):
        Ldpc(k, n, bits, graph)
