"""`make test-oldest` runs with the lower bounds of pyproject.toml, not with others."""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TOOLS = {"ruff", "mypy", "tomli"}  # no test needs an old one


def test_oldest_versions_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    bounds = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(asked), re.MULTILINE))
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", lines, re.MULTILINE))

    def release(version: str) -> list[str]:
        return [*version.split("."), "0", "0"][:3]

    for name in bounds.keys() - TOOLS:
        assert release(pinned[name]) == release(bounds[name]), name
