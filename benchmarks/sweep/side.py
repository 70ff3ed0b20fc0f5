"""What result files say of the side information of codecs of symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from witt.link.side_link import IDEAL
from witt.side_information import LONGEST_HEADER


def is_ideal(record: dict[str, Any]) -> bool:
    """Whether the side information of a scheme with this record was taken as received.

    Files of before do not say it of codecs, whose was.
    """
    if "side_information" in record:
        return bool(record["side_information"] == IDEAL)
    return "weights_sha256" in record


def within_cbr(
    images: Mapping[str, Sequence[float | None]], on_top: Sequence[Any]
) -> npt.NDArray[np.float64]:
    """The CBR of each picture without a coded header, which may exceed what a CBR allows.

    Args:
        images: the columns "channel_uses" and "cbr" of a cell.
        on_top: channel uses of such a header, as the scheme says it; None is 0.
    """
    uses, used = (np.array(images[name], dtype=np.float64) for name in ("channel_uses", "cbr"))
    headers = np.array([min(each or 0, LONGEST_HEADER) for each in on_top], dtype=np.float64)
    with np.errstate(invalid="ignore"):  # where there are none
        return np.where(headers > 0, used * (1 - headers / uses), used)
