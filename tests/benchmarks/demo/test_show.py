"""What the page is sent: the right pictures, to the right visitor, and nothing for nobody."""

import asyncio
import base64
import io
import json
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import witt
from benchmarks.codecs import codec
from benchmarks.codecs.search import Searched
from benchmarks.demo import show as show_module
from benchmarks.demo.cache import Bounded
from benchmarks.demo.digital import DigitalSender, shipped_rate
from benchmarks.demo.lanes import CURVE, METRIC, PICTURE, Dropped, Lane
from benchmarks.demo.pictures import Photograph
from benchmarks.demo.settings import DIGITAL_MODES, LINKS, Settings
from benchmarks.demo.show import PANELS, Show
from benchmarks.demo.visitors import Ticket, Visitors
from benchmarks.ldpc.modes import MODES, parse_mode
from benchmarks.schemes.digital import Digital
from tests.benchmarks.demo.handmade import photograph
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.evaluation import image_seed
from witt.link.maps import maps_of, mean_figures
from witt.link.side_link import CODED
from witt.link.transmission import transmit
from witt.pictures.maps import ERROR_COLOURS, coloured
from witt.report import to_json


def wanted() -> None:
    """Somebody waits."""


@pytest.mark.parametrize("channel", LINKS)
@pytest.mark.parametrize(("panel", "weights"), [("neural", "witt_light"), ("deepjscc", "deepjscc")])
def test_a_panel_shows_what_witt_transmit_sends(
    show: Show, channel: str, panel: str, weights: str
) -> None:
    picture = photograph(1)
    settings = Settings(snr_db=7.0, cbr="1/12", channel=channel, seed=3)
    shown = show.send(panel, picture, settings, wanted)
    sha = show.neural.model(weights).sha256
    model = witt.load(weights)
    how = {"seed": 3, "side_information": CODED, "weights_sha256": sha}
    (draw,) = transmit(picture.pixels, model, settings.link, 7.0, 1 / 12, **how)
    assert shown.pixels is not None
    np.testing.assert_array_equal(shown.pixels, draw.pixels)
    assert shown.psnr_db == pytest.approx(draw.figures["psnr_db"], abs=1e-9)
    figures = show.ms_ssim(panel, picture, settings)
    assert figures["ms_ssim"] == pytest.approx(draw.figures["ms_ssim"], abs=1e-9)
    assert shown.facts["channel_uses"] == draw.sent.symbols.shape[1]


def test_maps_lie_over_the_neural_panel(show: Show) -> None:
    """Those of `witt transmit --map`, in the events of the page; the curve has none."""
    picture, settings = photograph(4), Settings(snr_db=8.0)
    shown = show.send("neural", picture, settings, wanted)
    assert set(shown.maps) == {"uses", "expected", "measured"}
    model = show.neural.model("witt_light")
    how: dict[str, Any] = {"seed": 0, "side_information": CODED, "weights_sha256": model.sha256}
    (draw,) = transmit(picture.pixels, model.codec, Link(), 8.0, 1 / 16, **how, regions=True)
    maps = maps_of(draw.sent, picture.pixels, draw.pixels)
    assert maps is not None
    assert maps.expected is not None
    assert mean_figures(maps) == {name: shown.facts[name] for name in mean_figures(maps)}
    expected = coloured(maps.expected, maps.error_limit, ERROR_COLOURS)
    event = json.loads(to_json(show._shown("neural", settings, shown)))
    for name, overlay in event["maps"].items():
        with Image.open(io.BytesIO(base64.b64decode(overlay["png"]))) as image:
            pixels = np.asarray(image)
        assert pixels.shape == picture.pixels.shape
        assert np.array_equal(pixels, expected) == (name == "expected")
        assert overlay["colours"][0].startswith("#")
    assert event["maps"]["expected"]["end"] == event["maps"]["measured"]["end"]
    assert event["unsaid"] == ""
    assert show.send("deepjscc", picture, settings, wanted).maps == {}
    # As large as they are, they count among what is kept.
    assert shown.nbytes > sum(len(overlay.png) for overlay in shown.maps.values())


def test_it_says_where_no_error_is_expected(show: Show) -> None:
    sent = show.neural.send(photograph(4), "deepjscc", Settings(), wanted, with_maps=True)
    assert set(sent.maps) == {"uses", "measured"}
    assert sent.unsaid.startswith("Nothing to show: deepjscc cannot say what error to expect")


@pytest.mark.parametrize(
    ("panel", "weights", "once"),
    [("neural", "witt_light", [4.0, 5.0]), ("deepjscc", "deepjscc", [4.0])],
)
def test_a_picture_is_encoded_once_for_what_the_encoder_knows(
    show: Show, monkeypatch: pytest.MonkeyPatch, panel: str, weights: str, once: list[float]
) -> None:
    codec = show.neural.model(weights).codec
    encoded: list[float] = []
    real = type(codec).encode_with_side

    def counted(self: Any, image: Any, snr_db: float, *rest: Any) -> Any:
        encoded.append(snr_db)
        return real(self, image, snr_db, *rest)

    monkeypatch.setattr(type(codec), "encode_with_side", counted)
    picture = photograph(2)
    for seed, snr_db in ((0, 4.0), (1, 4.0), (2, 4.0), (0, 5.0)):
        shown = show.send(panel, picture, Settings(snr_db=snr_db, seed=seed), wanted)
    assert encoded == once
    alone = Show("cpu").send(panel, picture, Settings(snr_db=5.0), wanted)
    assert shown.psnr_db == alone.psnr_db
    assert shown.points == alone.points


def test_the_digital_sender_encodes_no_quality_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all SNRs, modes and channels, and for the curve."""
    sender, picture = DigitalSender("jpeg"), photograph(3, 192, 256)
    encoded: list[int] = []
    real = sender._codec.encode

    def counted(pixels: Any, quality: int) -> Any:
        encoded.append(quality)
        return real(pixels, quality)

    monkeypatch.setattr(sender._codec, "encode", counted)
    for channel in LINKS:
        for snr_db in (-2.0, 4.0, 10.0, 16.0, 4.0):
            sender.send(picture, Settings(snr_db=snr_db, cbr="1/8", channel=channel), wanted)
    assert len(encoded) == len(set(encoded)) > 0


def test_dots_of_the_digital_sender_are_its_constellation() -> None:
    """Around the points of its mode, as far off as the noise; and under the gain of the picture."""
    sender, picture = DigitalSender("jpeg"), photograph(3, 192, 256)
    for mode in MODES:
        settings = Settings(snr_db=20.0, cbr="1/8", mode=mode)
        dots = as_complex(sender.send(picture, settings, wanted).points)
        grid = parse_mode(mode).points
        distance = np.abs(dots[:, None] - grid)
        near = distance.min(axis=1)
        assert set(distance.argmin(axis=1)) == set(range(len(grid)))
        if len(grid) < 64:  # of 64 points some dots are nearer to another than to their own
            assert np.mean(near**2) == pytest.approx(0.01, rel=4 / math.sqrt(len(dots)))
    faded = Settings(snr_db=20.0, cbr="1/8", channel="rayleigh-block", mode="4qam-1/2", seed=1)
    shown = sender.send(picture, faded, wanted)
    dots = as_complex(shown.points)
    seed = image_seed(1, picture.pixels)
    h = faded.link.module().sample_gain(1, 1, generator=torch.Generator().manual_seed(seed))
    # The mean power after the MMSE equaliser: |h|^2 / (|h|^2 + N0).
    power = float(h.abs().square())
    expected = power / (power + 0.01)
    deviation = math.sqrt(2 * 0.01 / power / len(dots))
    assert np.mean(np.abs(dots) ** 2) == pytest.approx(expected, rel=4 * deviation)


def as_complex(points: Sequence[float]) -> Any:
    pairs = np.array(points).reshape(-1, 2)
    return pairs[:, 0] + 1j * pairs[:, 1]


def test_modes_that_are_left_out_would_not_have_been_chosen() -> None:
    """The page searches few modes; a benchmark searches all."""
    picture = photograph(3, 192, 256)
    sender = DigitalSender("jpeg")
    scheme = Digital(
        "all", "jpeg", Searched(codec("jpeg")), [parse_mode(mode) for mode in MODES], shipped_rate
    )
    chosen = set()
    for channel in ("awgn", "rayleigh-fast"):
        for snr_db in np.arange(-5, 20.5, 1.5).tolist():
            settings = Settings(snr_db=snr_db, cbr="1/8", channel=channel)
            shown = sender.send(picture, settings, wanted)
            seed = image_seed(0, picture.pixels)
            (sent,) = scheme.send([picture.pixels], settings.link, snr_db, 1 / 8, [seed])
            assert shown.pixels is not None
            assert sent.pixels is not None
            np.testing.assert_array_equal(shown.pixels, sent.pixels)
            assert shown.lost == sent.info["lost"]
            if not shown.lost:
                assert shown.facts["mode"] == sent.info["mode"]
                chosen.add(shown.facts["mode"])
    assert len(chosen) >= 4


def test_a_kept_mode_falls_off_a_cliff() -> None:
    picture = photograph(3, 192, 256)
    sender = DigitalSender("jpeg")
    got = {
        snr_db: sender.send(picture, Settings(snr_db=snr_db, cbr="1/8", mode="16qam-1/2"), wanted)
        for snr_db in (5.0, 8.0, 20.0)
    }
    assert got[5.0].lost
    assert "Nothing arrived" in got[5.0].notes[-1]
    assert not got[8.0].lost
    assert got[8.0].psnr_db == got[20.0].psnr_db > got[5.0].psnr_db + 10


def test_error_rates_that_nobody_simulated_are_a_sentence() -> None:
    small = DigitalSender("jpeg").send(photograph(4, 64, 64), Settings(cbr="1/48"), wanted)
    assert small.pixels is None
    assert "have not been simulated beforehand" in small.notes[-1]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"snr_db": 10.3}, "SNR 10.3 is not served"),
        ({"snr_db": math.nan}, "is not served"),
        ({"snr_db": True}, None),
        ({"snr_db": "10"}, "is not served"),
        ({"cbr": "1/2"}, "cbr '1/2' is not served"),
        ({"cbr": ["1/16"]}, "is not served"),
        ({"channel": "/etc/passwd:x"}, "is not served"),
        ({"mode": "256qam-1/2"}, "is not served"),
        ({"seed": -1}, "is not a seed"),
        ({"seed": 1.5}, "is not a seed"),
        ({"colour": 1}, "no setting 'colour'"),
        ([], "no JSON object"),
    ],
)
def test_settings_are_checked(values: Any, says: str | None) -> None:
    if says is None:
        values = {"snr_db": 30.0}
        says = "is not served"
    with pytest.raises(InputError, match=says):
        Settings.read(values)
    assert Settings.read({"snr_db": 1}).snr_db == 1
    assert "best" in DIGITAL_MODES


async def collect(show: Show, picture: Photograph, settings: Settings, ticket: Ticket) -> list[Any]:
    return [event async for event in show.events(picture, settings, ticket.check)]


@pytest.fixture
def short_curve(monkeypatch: pytest.MonkeyPatch) -> Sequence[float]:
    monkeypatch.setattr(show_module, "CURVE_SNRS_DB", (1.0, 10.0))
    monkeypatch.setattr(show_module, "DIGITAL_SNRS_DB", (10.0,))
    return 1.0, 10.0


def test_everything_comes_and_the_curve_last(show: Show, short_curve: Sequence[float]) -> None:
    ticket = Visitors().begin("a", 1)
    events = asyncio.run(collect(show, photograph(5), Settings(), ticket))
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "done"
    assert {event["panel"] for event in events if event["event"] == "panel"} == set(PANELS)
    assert kinds.index("point") > max(i for i, kind in enumerate(kinds) if kind == "panel")
    points = {(e["panel"], e["snr_db"]): e["psnr_db"] for e in events if e["event"] == "point"}
    panels = {e["panel"]: e["psnr_db"] for e in events if e["event"] == "panel"}
    assert points["neural", 10.0] == panels["neural"]
    assert points["neural", 1.0] < points["neural", 10.0]


def test_visitors_do_not_mix(show: Show, short_curve: Sequence[float]) -> None:
    visitors = Visitors()
    asked = [
        (photograph(10 + n), Settings(snr_db=float(n), seed=n), visitors.begin(f"v{n}", 1))
        for n in range(4)
    ]

    async def together() -> list[list[Any]]:
        return await asyncio.gather(*(collect(show, *each) for each in asked))

    alone = Show("cpu")
    for (picture, settings, _), events in zip(asked, asyncio.run(together()), strict=True):
        assert events[-1]["event"] == "done"
        shown = {e["panel"]: e["psnr_db"] for e in events if e["event"] == "panel"}
        assert shown["neural"] == alone.send("neural", picture, settings, wanted).psnr_db
        assert shown["deepjscc"] == alone.send("deepjscc", picture, settings, wanted).psnr_db


def test_the_newest_request_of_a_visitor_wins(show: Show, short_curve: Sequence[float]) -> None:
    visitors, picture = Visitors(), photograph(20)

    async def three_moves() -> list[list[Any]]:
        tickets = [visitors.begin("a", number) for number in (1, 2, 3)]
        snrs = (3.0, 4.0, 5.0)
        return await asyncio.gather(
            *(
                collect(show, picture, Settings(snr_db=snr), ticket)
                for snr, ticket in zip(snrs, tickets, strict=True)
            )
        )

    first, second, third = asyncio.run(three_moves())
    assert [event["event"] for event in first] == ["dropped"]
    assert [event["event"] for event in second] == ["dropped"]
    assert third[-1]["event"] == "done"
    late = visitors.begin("a", 2)
    with pytest.raises(Dropped):
        late.check()


def test_work_stops_between_its_steps(show: Show) -> None:
    asked = []

    def not_any_more() -> None:
        asked.append(1)
        raise Dropped

    picture, settings = photograph(21), Settings(snr_db=6.0)
    with pytest.raises(Dropped):
        show.send("neural", picture, settings, not_any_more)
    assert len(asked) == 1
    key, _ = show._plan("neural", picture, settings)
    assert show.received.get(key) is None
    with pytest.raises(Dropped):
        show.send("digital", photograph(22, 192, 256), settings, not_any_more)


def test_what_fails_is_said_and_the_rest_goes_on(
    show: Show, short_curve: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no such\nthing")

    monkeypatch.setattr(show.digital, "send", broken)
    ticket = Visitors().begin("a", 1)
    events = asyncio.run(collect(show, photograph(23), Settings(snr_db=2.0), ticket))
    (failed,) = [e for e in events if e["event"] == "failed" and e["panel"] == "digital"]
    assert failed["says"].endswith("RuntimeError: no such thing.")
    assert {e["panel"] for e in events if e["event"] == "panel"} == {"neural", "deepjscc"}


def test_urgent_work_goes_first_and_forgotten_work_not_at_all() -> None:
    lane, begun, go, order = Lane("test"), threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait(10)

    def gone() -> None:
        raise Dropped

    lane.submit(PICTURE, wanted, first)
    assert begun.wait(10)
    kinds = (CURVE, METRIC, PICTURE)
    futures = [lane.submit(kind, wanted, lambda kind=kind: order.append(kind)) for kind in kinds]
    dropped = lane.submit(PICTURE, gone, lambda: order.append(99))
    cancelled = lane.submit(METRIC, wanted, lambda: order.append(98))
    cancelled.cancel()
    go.set()
    for future in futures:
        future.result(10)
    assert order == [PICTURE, METRIC, CURVE]
    with pytest.raises(Dropped):
        dropped.result(10)


def test_what_is_kept_is_bounded() -> None:
    kept: Bounded[bytes] = Bounded(100, len)
    for number in range(50):
        kept.put(number, bytes(30))
        assert kept.total == 30 * len(kept) <= 100
    assert kept.get(49) is not None
    assert kept.get(46) is None
    kept.get(47)
    kept.put("new", bytes(30))
    assert kept.get(47) is not None
    assert kept.get(48) is None
    kept.put("large", bytes(500))
    assert len(kept) == 1
    kept.put("large", bytes(20))
    assert kept.total == 20
