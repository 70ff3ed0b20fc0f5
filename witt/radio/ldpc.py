"""The LDPC code of 5G NR's data channels: encoder, rate matching and a sum-product decoder.

3GPP TS 38.212, sections 5.2.2 (lifting size), 5.3.2 and 5.4.2 (redundancy version 0). The shifts
are the standard's tables 5.3.2-2 and 5.3.2-3 (in data/ldpc_base_graphs.json: row, column and the
shift of each of the eight sets of lifting sizes).

    k bits + fillers -> parity by the base graph -> skip 2 Z and the fillers, n bits from a circle
                                                              -> interleaver for QAM
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Table 5.3.2-1.
LIFTING_SIZES = tuple(
    tuple(size for size in (odd << j for j in range(8)) if 2 <= size <= 384)
    for odd in (2, 3, 5, 7, 9, 11, 13, 15)
)
# Of a bit that is known, and beyond which a ratio says nothing more.
CERTAIN = 30.0


class BaseGraph(NamedTuple):
    """What section 5.3.2 says of a base graph.

    Attributes:
        rows: Check nodes.
        columns: Bit nodes.
        information: The columns that hold information.
        most_bits: Bits of the longest block.
    """

    rows: int
    columns: int
    information: int
    most_bits: int


BASE_GRAPHS = {1: BaseGraph(46, 68, 22, 8448), 2: BaseGraph(42, 52, 10, 3840)}


class Ldpc:
    """A code of k bits in n bits.

    Args:
        k: Bits that go in, 8,448 at most (3,840 for base graph 2).
        n: Bits that come out, more than k, a multiple of bits_per_symbol.
        bits_per_symbol: Of the modulation, for the interleaver.
        base_graph: 1 or 2; by default as section 7.2.2 chooses for a block of k bits at rate k / n.

    Raises:
        ValueError: There is no such code.
    """

    def __init__(self, k: int, n: int, bits_per_symbol: int, base_graph: int | None = None) -> None:
        base_graph = base_graph or choose_base_graph(k, k / n)
        graph = BASE_GRAPHS[base_graph]
        if not 1 <= k <= graph.most_bits or n <= k or n % bits_per_symbol:
            raise ValueError(
                f"no LDPC code of {k} bits in {n} by base graph {base_graph}: "
                f"1 <= k <= {graph.most_bits}, k < n, n a multiple of {bits_per_symbol}"
            )
        self.k, self.n, self.base_graph, self.graph = k, n, base_graph, graph
        self.z, chosen = _lifting(k, base_graph)
        self._edges = _edges(base_graph)[:, [0, 1, 2 + chosen]]
        self._edges[:, 2] %= self.z
        # The circle of bits that may be sent: not the first 2 Z, not the fillers.
        whole = np.arange(2 * self.z, graph.columns * self.z)
        circle = whole[(whole < k) | (whole >= graph.information * self.z)]
        order = np.arange(n).reshape(bits_per_symbol, -1).T.ravel()  # section 5.4.2.2
        self._sent = circle[order % len(circle)]
        # Later rows bind parity bits that are not sent: the decoder needs none of them.
        columns = max(int(self._sent.max()) // self.z + 1, graph.information + 4)
        self._columns = columns
        self._checks = [self._places(row, self.z) for row in range(columns - graph.information)]

    def _places(self, row: int, z: int) -> Tensor:
        """The bits of the lifted checks of a row of the base graph, (degree, Z)."""
        edges = self._edges[self._edges[:, 0] == row]
        places = edges[:, 1, None] * z + (np.arange(z) + edges[:, 2, None]) % z
        return torch.from_numpy(places)

    def encode(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Code words of some blocks.

        Args:
            bits: 0 or 1, (B, k).

        Returns:
            (B, n).
        """
        z, first = self.z, self.graph.information
        word = np.zeros((len(bits), self._columns, z), np.uint8)
        word.reshape(len(bits), -1)[:, : self.k] = bits

        def known(row: int) -> NDArray[np.uint8]:
            """What the columns set so far add to the checks of a row."""
            total = np.zeros((len(bits), z), np.uint8)
            for _, column, shift in self._edges[self._edges[:, 0] == row]:
                total ^= np.roll(word[:, column], -shift, axis=1)
            return total

        # The first four rows: in their sum the other parity columns cancel, and of the first
        # one only the shift of the row in the middle is left.
        middle = 1 if self.base_graph == 1 else 2
        in_first = self._edges[(self._edges[:, 1] == first) & (self._edges[:, 0] < 4)]
        shift = int(in_first[in_first[:, 0] == middle, 2][0])
        total = known(0) ^ known(1) ^ known(2) ^ known(3)
        word[:, first] = np.roll(total, shift, axis=1)
        # Each is then the one that its check lacks: a zero until it is set.
        word[:, first + 1] = known(0)
        if self.base_graph == 1:
            word[:, first + 3] = known(3)
            word[:, first + 2] = known(2)
        else:
            word[:, first + 2] = known(1)
            word[:, first + 3] = known(3)
        for row in range(4, self._columns - first):
            word[:, first + row] = known(row)
        return np.asarray(word.reshape(len(bits), -1)[:, self._sent])

    @torch.inference_mode()
    def decode(self, llrs: Tensor, iterations: int = 20) -> NDArray[np.uint8]:
        """The bits by layered sum-product decoding; a block stops when its parity checks hold.

        Args:
            llrs: log p(1) / p(0) of the coded bits, (B, n).
            iterations: Through all checks, at most.

        Returns:
            (B, k), right or not: a CRC tells.

        Source: Hocevar, "A reduced complexity decoder architecture via layered decoding of LDPC
        codes", 2004; the check node rule is exact.
        """
        found = np.empty((len(llrs), self.k), np.uint8)
        # The work of a layer should fit into a cache of the processor.
        size = max(1, 2**16 // (10 * self.z))
        for start in range(0, len(llrs), size):
            found[start : start + size] = self._decode(llrs[start : start + size], iterations)
        return found

    def _decode(self, llrs: Tensor, iterations: int) -> NDArray[np.uint8]:
        count, z = len(llrs), self.z
        # Bits first, blocks last: what belongs to a bit lies together. Positive says 0.
        value = torch.zeros(self._columns * z, count)
        value.index_add_(0, torch.from_numpy(self._sent), -llrs.float().cpu().T)
        value[self.k : self.graph.information * z] = CERTAIN
        value.clamp_(-CERTAIN, CERTAIN)
        told = [torch.zeros(*places.shape, count) for places in self._checks]
        found = torch.empty(self.k, count, dtype=torch.bool)
        left = torch.arange(count)
        for _ in range(iterations):
            for places, message in zip(self._checks, told, strict=True):
                flat = places.flatten()
                old = value.index_select(0, flat).view(message.shape).sub_(message)
                _check_nodes(old, out=message)
                value.index_copy_(0, flat, old.add_(message).flatten(0, 1))
            ones = value < 0
            found[:, left] = ones[: self.k]
            wrong = self._wrong(ones.to(torch.int8))
            if not wrong.all():
                left, value = left[wrong], value[:, wrong]
                told = [message[..., wrong] for message in told]
            if not len(left):
                break
        return np.asarray(found.T.numpy().astype(np.uint8))

    def _wrong(self, ones: Tensor) -> Tensor:
        """Whether a parity check of each block fails, (B,)."""
        wrong = torch.zeros(ones.shape[1], dtype=torch.bool)
        for places in self._checks:
            bits = ones.index_select(0, places.flatten()).view(*places.shape, -1)
            wrong |= (bits.sum(0, dtype=torch.int8) & 1).any(0)
        return wrong


def choose_base_graph(k: int, rate: float) -> int:
    """The base graph of section 7.2.2.

    Args:
        k: Bits of the payload.
        rate: Of the code.
    """
    return 2 if k <= 292 or (k <= 3824 and rate <= 0.67) or rate <= 0.25 else 1


def _check_nodes(messages: Tensor, out: Tensor) -> None:
    """For each edge what the others of its check say: 2 artanh of the product of tanh(m / 2).

    Args:
        messages: log p(0) / p(1), (degree, Z, B).
        out: The same from the others.
    """
    # By exp and log, which PyTorch computes many times as fast as tanh.
    product = torch.neg(messages, out=out).clamp_(-CERTAIN, CERTAIN).exp_()
    product.add_(1).reciprocal_().mul_(2).sub_(1)
    # Nothing known is a very small number: no division by zero.
    product.add_(1e-12)
    torch.div(product.flatten(1).prod(0).view(product.shape[1:]), product, out=product)
    # 1 - 2^-23: the artanh of single precision ends at 16.6.
    product.clamp_(-1 + 2**-23, 1 - 2**-23)
    torch.div(1 + product, 1 - product, out=product)
    product.log_()


def _lifting(k: int, base_graph: int) -> tuple[int, int]:
    """The smallest lifting size that holds k bits, and its set: section 5.2.2."""
    if base_graph == 1:
        columns = 22
    else:
        columns = 10 if k > 640 else 9 if k > 560 else 8 if k > 192 else 6
    return min(
        (size, index)
        for index, sizes in enumerate(LIFTING_SIZES)
        for size in sizes
        if columns * size >= k
    )


@cache
def _edges(base_graph: int) -> NDArray[np.int64]:
    """Row, column and eight shifts of each entry of a base graph."""
    path = Path(__file__).parent / "data" / "ldpc_base_graphs.json"
    return np.array(json.loads(path.read_text(encoding="utf-8"))[f"bg{base_graph}"])
