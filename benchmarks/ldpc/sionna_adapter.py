"""The only file that imports Sionna (1.2) and TensorFlow; arrays go in and out as numpy.

Sionna: Hoydis et al., "Sionna: an open-source library for next-generation physical layer
research", arXiv 2203.11854. The code is that of 3GPP TS 38.212, section 5.3.2 and 5.4.2.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from witt.errors import InputError

Bits = npt.NDArray[np.uint8]
Complex = npt.NDArray[np.complex64]
Real = npt.NDArray[np.float32]

# Flooding sum-product decoding with the exact check node rule, here by tanh: in Sionna 1.2 on a
# CPU it takes half the time of its default, the same rule by phi(x) = -log tanh(x / 2).
ITERATIONS, CHECK_NODES, SCHEDULE, DEMAPPER = 20, "boxplus", "flooding", "app"
# Of a block whose CRC fails after the first, where it has one.
MOST_ITERATIONS = 50
# Coded bits for each information bit of the mother code, by base graph.
MOTHER = {1: 3, 2: 5}


class Chain:
    """5G NR LDPC code, bit interleaver and Gray-mapped QAM, and the way back.

    bits ─► LDPC5GEncoder ─► interleaver (TS 38.212, 5.4.2.2) ─► Mapper ─► symbols
                                                                              │ any channel
    bits ◄─ LDPC5GDecoder ◄─ deinterleaver ◄─ LLRs ◄─ Demapper (app) ◄─ equalised symbols

    Args:
        k: information bits of a block, 12 to 8448.
        n: coded bits of a block, a multiple of `bits_per_symbol`; k / n from 1/5 to 0.95, and
            below, by repetition, where the base graph is named.
        bits_per_symbol: 2, 4, 6 or 8.
        base_graph: 1 or 2; None takes that of a transport block of k bits.
        iterations: of belief propagation; all are run, there is no early stop.

    Raises:
        InputError: Sionna is not installed.
    """

    def __init__(
        self,
        k: int,
        n: int,
        bits_per_symbol: int,
        *,
        base_graph: int | None = None,
        iterations: int = ITERATIONS,
    ) -> None:
        tf, phy = _libraries()
        self.k, self.n, self.bits_per_symbol = k, n, bits_per_symbol
        longest = n if base_graph is None else k * MOTHER[base_graph]
        mother = min(n, longest)
        encoder = phy.fec.ldpc.LDPC5GEncoder(
            k,
            mother,
            num_bits_per_symbol=bits_per_symbol if mother == n else None,
            bg=None if base_graph is None else f"bg{base_graph}",
        )
        decoder = phy.fec.ldpc.LDPC5GDecoder(
            encoder,
            cn_update=CHECK_NODES,
            cn_schedule=SCHEDULE,
            num_iter=iterations,
            # Sionna prunes the whole graph away where nothing is punctured.
            prune_pcm=mother < longest or base_graph is None,
        )
        if mother < n:
            encoder, decoder = _repeated(tf, encoder, decoder, n, bits_per_symbol)
        mapper = phy.mapping.Mapper("qam", bits_per_symbol)
        demapper = phy.mapping.Demapper(DEMAPPER, "qam", bits_per_symbol)
        symbols = n // bits_per_symbol

        def signature(width: int, dtype: Any) -> Any:
            return tf.TensorSpec((None, width), dtype)

        # Signatures, so that a shorter last batch is not compiled anew.
        self._encode = tf.function(
            lambda bits: mapper(encoder(bits)), input_signature=[signature(k, tf.float32)]
        )
        self._decode_llrs = tf.function(decoder, input_signature=[signature(n, tf.float32)])
        self._decode = tf.function(
            lambda x_hat, noise_var: decoder(demapper(x_hat, noise_var)),
            input_signature=[signature(symbols, tf.complex64), signature(symbols, tf.float32)],
        )
        self._decode_longer = tf.function(
            lambda x_hat, noise_var: decoder(demapper(x_hat, noise_var), num_iter=MOST_ITERATIONS),
            input_signature=[signature(symbols, tf.complex64), signature(symbols, tf.float32)],
        )

    def encode(self, bits: Bits) -> Complex:
        """Symbols of unit mean power, (B, n / bits_per_symbol), for (B, k) bits."""
        symbols: Complex = self._encode(bits.astype(np.float32)).numpy()
        return symbols

    def decode(self, x_hat: Complex, noise_var: Real) -> Bits:
        """Decide (B, k) bits.

        Args:
            x_hat: symbols divided by the channel gain, (B, n / bits_per_symbol).
            noise_var: variance of their noise, complex, (B, n / bits_per_symbol).
        """
        bits: Bits = self._decode(x_hat, noise_var).numpy().astype(np.uint8)
        return bits

    def decode_longer(self, x_hat: Complex, noise_var: Real) -> Bits:
        """`decode` with `MOST_ITERATIONS`."""
        bits: Bits = self._decode_longer(x_hat, noise_var).numpy().astype(np.uint8)
        return bits

    def decode_llrs(self, llrs: Real) -> Bits:
        """Decide (B, k) bits from log p(1) / p(0) of each coded bit, (B, n): the decoder alone."""
        bits: Bits = self._decode_llrs(llrs).numpy().astype(np.uint8)
        return bits


def _repeated(tf: Any, encoder: Any, decoder: Any, n: int, bits_per_symbol: int) -> tuple[Any, Any]:
    """Coder and decoder of n bits from those of the whole mother code, whose bits come again.

    TS 38.212, section 5.4.2: the circular buffer is read on, then interleaved. The receiver adds
    what it knows of a bit.
    """
    order = np.arange(n).reshape(bits_per_symbol, -1).T.ravel()
    back = np.argsort(order)
    times = -(-n // encoder.n)

    def encode(bits: Any) -> Any:
        return tf.gather(tf.tile(encoder(bits), (1, times)), order, axis=1)

    def decode(llrs: Any, **options: Any) -> Any:
        padded = tf.pad(tf.gather(llrs, back, axis=1), ((0, 0), (0, times * encoder.n - n)))
        return decoder(tf.reduce_sum(tf.reshape(padded, (-1, times, encoder.n)), axis=1), **options)

    return encode, decode


def method(*, crc: bool = False) -> dict[str, Any]:
    """How blocks are sent and decoded, with the versions, for result files.

    Args:
        crc: of blocks that have one, by which a decoder knows that it may stop.
    """
    more = f"{ITERATIONS}, then {MOST_ITERATIONS} where the CRC fails"
    return {
        "code": f"5G NR LDPC (3GPP TS 38.212), {'CRC among the k bits' if crc else 'no CRC'}",
        "decoder": f"belief propagation, {SCHEDULE}, {CHECK_NODES}",
        "iterations": more if crc else ITERATIONS,
        "demapper": DEMAPPER,
        "interleaver": "3GPP TS 38.212, section 5.4.2.2",
        "sionna": _version("sionna"),
        "tensorflow": _version("tensorflow"),
    }


class Faded(NamedTuple):
    """Received symbols y and the gain h of each, both (N,)."""

    y: Complex
    h: Complex


def sionna_awgn(x: Complex, noise_var: float, seed: int) -> Complex:
    """Sionna's AWGN channel: y = x + n, for comparison with `channels.AWGN`."""
    tf, phy = _libraries()
    with _seeded(phy, seed):
        y: Complex = phy.channel.AWGN()(tf.constant(x), tf.constant(noise_var, tf.float32)).numpy()
    return y


def sionna_rayleigh(x: Complex, noise_var: float, seed: int) -> Faded:
    """Sionna's flat fading channel with one antenna each: y = h x + n, one h a symbol, x (N,)."""
    tf, phy = _libraries()
    with _seeded(phy, seed):
        channel = phy.channel.FlatFadingChannel(1, 1, return_channel=True)
        y, h = channel(tf.constant(x)[:, tf.newaxis], tf.constant(noise_var, tf.float32))
    return Faded(y.numpy().ravel(), h.numpy().ravel())


def sionna_channels(batch: int, n: int, noise_var: float) -> dict[str, Callable[[], object]]:
    """Sionna's AWGN and flat Rayleigh fading of (batch, n) symbols, compiled, to be timed."""
    tf, phy = _libraries()
    awgn = phy.channel.AWGN()
    flat = phy.channel.FlatFadingChannel(1, 1, return_channel=True)
    x = tf.complex(tf.random.normal((batch, n)), tf.random.normal((batch, n)))
    column, level = tf.reshape(x, (-1, 1)), tf.constant(noise_var, tf.float32)
    calls = {"awgn": lambda: awgn(x, level), "rayleigh": lambda: flat(column, level)}
    return {name: tf.function(call) for name, call in calls.items()}


def tf_psnr(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> float:
    """PSNR of 8-bit pictures (H, W, 3) by TensorFlow, dB."""
    tf, _ = _libraries()
    return float(tf.image.psnr(tf.constant(image), tf.constant(reference), 255))


def tf_ms_ssim(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> float:
    """MS-SSIM of 8-bit pictures (H, W, 3) by TensorFlow: five scales, mean over the planes."""
    tf, _ = _libraries()
    return float(tf.image.ssim_multiscale(tf.constant(image), tf.constant(reference), 255))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def _libraries() -> tuple[Any, Any]:
    """TensorFlow and sionna.phy."""
    # TensorFlow would take all memory of a GPU that PyTorch works on.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet():
            import tensorflow as tf
            from sionna import phy
            from sionna.phy import channel, fec, mapping  # noqa: F401
            from sionna.phy.fec import ldpc  # noqa: F401

            tf.get_logger().setLevel("ERROR")
    except ImportError as error:
        raise InputError(
            "the LDPC code needs Sionna 1.2 and TensorFlow: pip install 'witt[baselines]' "
            f"({error})"
        ) from error
    return tf, phy


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr: what TensorFlow logs while it starts does not go through Python."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextmanager
def _seeded(phy: Any, seed: int) -> Iterator[None]:
    """Sionna's random numbers from a seed; they are those of the process, hence put back."""
    source = phy.config.tf_rng
    before = source.state.numpy()
    source.reset_from_seed(seed)
    try:
        yield
    finally:
        source.reset(before)
