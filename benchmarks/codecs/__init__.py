"""Source codecs for the digital chain, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.codecs import external, heif, pillow_codecs, vvc
from benchmarks.codecs.base import Codec
from witt.errors import InputError

CODECS: dict[str, Callable[[], Codec]] = {
    "hevc": partial(heif.Hevc, "hevc", "444"),
    "hevc-420": partial(heif.Hevc, "hevc-420", "420"),
    "jpeg": pillow_codecs.jpeg,
    "jpeg2000": pillow_codecs.jpeg2000,
    "webp": pillow_codecs.webp,
    "avif": pillow_codecs.avif,
    "vvc": vvc.Vvc,
    "bpg": external.bpg,
    "vtm": external.vtm,
    "hm": external.hm,
    **{name: partial(external.Learned, name) for name in external.LEARNED},
}


def codec_names() -> list[str]:
    """Every codec, usable here or not: `Codec.check` says what one needs."""
    return list(CODECS)


def codec(name: str) -> Codec:
    """The codec of a name.

    Raises:
        InputError: there is none.
    """
    if name not in CODECS:
        raise InputError(f"no codec is called {name!r}; there are {', '.join(CODECS)}")
    return CODECS[name]()
