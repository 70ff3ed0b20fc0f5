"""Successive-cancellation list decoding of polar codes: many blocks and paths at once.

The tree of the code is walked from its root, as in the simplified decoders: a node whose places
are all frozen, all free, or frozen but for the last is decided as a whole. Path metrics are exact
log-likelihoods.

Sources: Tal & Vardy, "List decoding of polar codes", 2015; Balatsoukas-Stimming et al.,
"LLR-based successive cancellation list decoding", 2015; Hashemi et al., "Fast and flexible
successive-cancellation list decoders", 2017.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]
Paths = NDArray[np.intp]


def transform(u: Bits) -> Bits:
    """u times the n-th Kronecker power of [[1, 0], [1, 1]] modulo 2; its own inverse.

    Args:
        u: 0 or 1, (..., n), n a power of two.

    Returns:
        (..., n).
    """
    x = u.copy()
    n = x.shape[-1]
    half = 1
    while half < n:
        pairs = x.reshape(*x.shape[:-1], n // (2 * half), 2, half)
        pairs[..., 0, :] ^= pairs[..., 1, :]
        half *= 2
    return x


def decode_list(llrs: Floats, frozen: NDArray[np.bool_], size: int) -> Bits:
    """The likeliest code words that a list of paths finds.

    Args:
        llrs: log p(0) / p(1) of the bits of the code word, (B, n).
        frozen: Which places of u are zero by design, (n,).
        size: Paths that are kept, at most.

    Returns:
        Code words, (B, paths, n), likeliest first.
    """
    decoder = _Decoder(len(llrs), frozen, size)
    words, _ = decoder.node(llrs[:, None], 0)
    order = np.argsort(decoder.cost, axis=1)
    return np.asarray(words[decoder.rows, order])


class _Decoder:
    """What all nodes share: the cost of each path, (B, paths)."""

    def __init__(self, blocks: int, frozen: NDArray[np.bool_], size: int) -> None:
        self.size, self.frozen = size, frozen
        self.rows = np.arange(blocks)[:, None]
        self.cost = np.zeros((blocks, 1), np.float32)

    def node(self, llrs: Floats, first: int) -> tuple[Bits, Paths | None]:
        """Decide the part of the tree at places first, ..., first + n - 1.

        Args:
            llrs: log p(0) / p(1) at this node for each path, (B, paths, n).
            first: Where it begins.

        Returns:
            Bits at this node for each path that is left, (B, new paths, n), and which path each
            came from, (B, new paths), or None if all stayed.
        """
        n = llrs.shape[2]
        frozen = self.frozen[first : first + n]
        if frozen.all():
            self.cost = self.cost + _unlikely(llrs).sum(axis=2)
            return np.zeros(llrs.shape, np.uint8), None
        if frozen[:-1].all():
            return self._repetition(llrs)
        if not frozen.any():
            return self._free(llrs)
        half = n // 2
        upper, lower = llrs[:, :, :half], llrs[:, :, half:]
        left, origin = self.node(_either(upper, lower), first)
        if origin is not None:
            upper, lower = upper[self.rows, origin], lower[self.rows, origin]
        right, moved = self.node(lower + np.where(left, -upper, upper), first + half)
        if moved is not None:
            left = left[self.rows, moved]
            origin = moved if origin is None else origin[self.rows, moved]
        return np.concatenate([left ^ right, right], axis=2), origin

    def _repetition(self, llrs: Floats) -> tuple[Bits, Paths]:
        """All bits alike: both values are tried for each path."""
        zeros = self.cost + _unlikely(llrs).sum(axis=2)
        ones = zeros + llrs.sum(axis=2)
        origin, value = self._keep(zeros, ones)
        return np.repeat(value[:, :, None], llrs.shape[2], axis=2), origin

    def _free(self, llrs: Floats) -> tuple[Bits, Paths]:
        """Any bits: of each path, only the size - 1 least sure ones are worth a second try."""
        n = llrs.shape[2]
        bits = (llrs < 0).astype(np.uint8)
        sure = np.abs(llrs)
        self.cost = self.cost + _unlikely(sure).sum(axis=2)
        tries = min(self.size - 1, n)
        doubtful = np.argsort(sure, axis=2)[:, :, :tries]
        price = np.take_along_axis(sure, doubtful, axis=2)
        origin = np.broadcast_to(np.arange(llrs.shape[1]), self.cost.shape)
        flips = np.zeros((*self.cost.shape, tries), np.uint8)
        for i in range(tries):
            kept, flip = self._keep(self.cost, self.cost + price[self.rows, origin, i])
            origin, flips = origin[self.rows, kept], flips[self.rows, kept]
            flips[:, :, i] = flip
        bits = bits[self.rows, origin]
        places = doubtful[self.rows, origin]
        np.put_along_axis(bits, places, np.take_along_axis(bits, places, 2) ^ flips, axis=2)
        return bits, origin

    def _keep(self, zeros: Floats, ones: Floats) -> tuple[Paths, Bits]:
        """Of two continuations of each path the cheapest, as many as are kept."""
        paths = zeros.shape[1]
        both = np.concatenate([zeros, ones], axis=1)
        if 2 * paths <= self.size:
            chosen = np.broadcast_to(np.arange(2 * paths), both.shape)
        else:
            chosen = np.argpartition(both, self.size - 1, axis=1)[:, : self.size]
        self.cost = both[self.rows, chosen]
        return chosen % paths, (chosen >= paths).astype(np.uint8)


def _unlikely(llrs: Floats) -> Floats:
    """-log p(0) = log(1 + exp(-llr))."""
    return np.asarray(np.maximum(-llrs, 0) + np.log(1 + np.exp(-np.abs(llrs))))


def _either(a: Floats, b: Floats) -> Floats:
    """log p(0) / p(1) of the sum modulo 2: log (1 + exp(a + b)) / (exp(a) + exp(b))."""
    plus, minus = np.abs(a + b), np.abs(a - b)
    # sign · min(|a|, |b|) = (|a + b| - |a - b|) / 2.
    exact = 0.5 * (plus - minus) + np.log((1 + np.exp(-plus)) / (1 + np.exp(-minus)))
    return np.asarray(exact)
