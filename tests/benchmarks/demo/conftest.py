"""One show for all tests: it loads the networks."""

import pytest

from benchmarks.demo.show import Show


@pytest.fixture(scope="session")
def show() -> Show:
    return Show("cpu")
