"""`witt.fit`: train any codec from Python, as `witt train` does it.

    record = witt.fit(MyCodec(), "photos", channel="rayleigh", snr=(1, 13), minutes=5)

`witt train` keeps a folder to resume from; this is for a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

import channels
from witt.contract import Codec, Encoded, Header
from witt.device import pick_device
from witt.errors import InputError
from witt.registry import CHANNELS, LOSSES, Registry
from witt.training.brief import train_briefly
from witt.training.config import TrainConfig
from witt.training.pictures import open_sets
from witt.training.start import default_cbr, default_learning_rates, prepare, set_trained
from witt.training.validation import centre_crops

LossFunction = Callable[[Tensor, Tensor], Tensor]


class Fitted(NamedTuple):
    """What a training did.

    steps: updates.
    seconds: that they took.
    psnr_db: mean PSNR of the last training pictures (for MS-SSIM that in dB).
    log: what happened on the way, as `witt train` writes it.
    """

    steps: int
    seconds: float
    psnr_db: float
    log: list[dict[str, Any]]

    def __repr__(self) -> str:
        return f"Fitted({self.steps:,} steps in {self.seconds:.0f} s, {self.psnr_db:.2f} dB)"


class _Kept(Codec):
    """A module with `encode` and `decode` that does not inherit from `Codec`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.config, self.name = module, {}, type(module).__name__

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Encoded:
        symbols, header = self.module.encode(image, snr_db, cbr)  # type: ignore[operator]
        return Encoded(symbols, header)

    def decode(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Tensor:
        image: Tensor = self.module.decode(symbols, header, noise_var)  # type: ignore[operator]
        return image


def fit(
    model: nn.Module,
    data: str | Path | Sequence[str | Path],
    *,
    channel: str | channels.Channel | Sequence[str] = "awgn",
    snr: float | Sequence[float] = (1, 4, 7, 10, 13),
    cbr: str | Sequence[str] | None = None,
    loss: str | LossFunction = "mse",
    minutes: float | None = None,
    steps: int | None = None,
    val: str | Path | None = None,
    device: str = "auto",
    **settings: Any,
) -> Fitted:
    """Train a codec on folders of pictures; its weights are then their average over the steps.

    Args:
        model: a `witt.Codec`, or any module with its `encode` and `decode`; is changed.
        data: folders of pictures.
        channel: names of channels, taken in turn, or a channel.
        snr: SNRs in dB that are drawn from.
        cbr: CBRs as text ("1/16") that are drawn from; None is all that the codec is for.
        loss: a name, or a function (received, image) -> (B,).
        minutes, steps: how long; with both, what comes first ends it.
        val: a folder of pictures to validate on.
        device: "auto", "cpu", "cuda" or "mps", where the model is then.
        **settings: others of `witt.training.config.TrainConfig`: batch, crop, lr, seed, …

    Raises:
        InputError: a setting cannot be used, or training diverged.
    """
    codec = model if isinstance(model, Codec) else _Kept(model)
    given = [snr] if isinstance(snr, (int, float)) else list(snr)
    loss = loss if isinstance(loss, str) else _named(LOSSES, loss, loss)
    if isinstance(channel, channels.Channel):
        channel = _named(CHANNELS, channel, partial(_as_it_is, channel))
    rates = default_learning_rates(codec, "ours", fine_tuning=False)
    try:
        config = TrainConfig(
            **{
                **rates,
                "preset": codec.name,
                "data": _list(data),
                "val": _list(val),
                "snr": tuple(map(float, given)),
                "cbr": default_cbr(codec) if cbr is None else _list(cbr),
                "channel": _list(channel),
                "loss": loss,
                "minutes": minutes,
                "steps": steps,
                "device": device,
                **settings,
            }
        )
    except TypeError as error:
        raise InputError(f"fit: {error}") from error
    set_trained(codec, config)
    sets = open_sets(config.data, config.val, config.data_share)
    prepare(codec, config, sets.train, print, new=False)
    codec.to(pick_device(config.device))
    crops = centre_crops(sets.val, config.loss == "ms-ssim") if sets.val is not None else None
    run, log, _ = train_briefly(config, codec, sets.train, crops)
    codec.load_state_dict(run.average.state)
    codec.eval()
    last = [entry[run.figure] for entry in log if run.figure in entry]
    return Fitted(run.step, run.seconds, last[-1] if last else float("nan"), log)


def _as_it_is(thing: Any) -> Any:
    return thing


def _named(registry: Registry, thing: Any, entry: Any) -> str:
    """A name in this process for a loss or channel that has none."""
    name = f"{getattr(thing, '__name__', type(thing).__name__)}@{id(thing):x}"
    registry.register(name)(entry)
    return name


def _list(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (str(value),) if isinstance(value, (str, Path)) else tuple(map(str, value))
