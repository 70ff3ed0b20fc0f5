"""A file to keep: the pictures, the figures as JSON and the commands that make them again."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from benchmarks.demo.lanes import Check
from benchmarks.demo.pictures import Photograph
from benchmarks.demo.settings import Settings
from benchmarks.demo.show import DEEPJSCC, DIGITAL, NEURAL, PANELS, Show
from witt.report import to_json, version

FORMAT = "witt-demo-1"
FOLDER = "witt-demo"
ORIGINAL = "original/picture.png"  # a folder of its own: witt benchmark takes folders


def saved(show: Show, photograph: Photograph, settings: Settings, check: Check) -> bytes:
    """A ZIP file of what the page shows.

    Args:
        show: what is on the page is kept there, so that little is computed.
        photograph: that is sent.
        settings: those of the page.
        check: raises where nobody waits any more.
    """
    files: dict[str, bytes] = {ORIGINAL: photograph.png}
    panels: dict[str, Any] = {}
    for panel in PANELS:
        received = show.send(panel, photograph, settings, check)
        figures = show.ms_ssim(panel, photograph, settings)
        if received.png:
            files[f"{panel}.png"] = received.png
        panels[panel] = {
            "picture": f"{panel}.png" if received.png else None,
            "psnr_db": received.psnr_db,
            **figures,
            "lost": received.lost,
            "notes": list(received.notes),
            **received.facts,
        }
        if panel in (NEURAL, DEEPJSCC):
            weights = received.facts["weights"]
            command = settings.transmit_command(ORIGINAL, weights, f"again/{panel}")
        else:
            codec = show.digital.name
            command = settings.benchmark_command("original", codec, f"again/{DIGITAL}.json")
        panels[panel]["command"] = command
    height, width = photograph.pixels.shape[:2]
    document = {
        "format": FORMAT,
        "version": version(),
        "picture": {"name": photograph.name, "width": width, "height": height},
        "notes": list(photograph.notes),
        "settings": settings.record(),
        "panels": panels,
    }
    files["result.json"] = (to_json(document) + "\n").encode()
    commands = [str(panels[panel]["command"]) for panel in PANELS]
    files["commands.txt"] = ("\n".join(commands) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(f"{FOLDER}/{name}"), data)
    return buffer.getvalue()
