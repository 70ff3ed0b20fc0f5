"""What result files say of the side information of codecs of symbols."""

from __future__ import annotations

from collections.abc import Sequence
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


def on_top_share(uses: Sequence[Any], on_top: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Of the channel uses of each picture, how much is a header that may exceed what a CBR allows.

    Args:
        uses: of each picture, None where there is none.
        on_top: of these, as the scheme says it; None is 0.
    """
    headers = np.array([min(each or 0, LONGEST_HEADER) for each in on_top], dtype=np.float64)
    return headers / np.array([each or np.nan for each in uses], dtype=np.float64)
