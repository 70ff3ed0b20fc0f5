"""The site: README, docs and docstrings by Sphinx, MyST and furo; `make docs` builds it.

The folder of the sources is the repository itself: a link on a page leads to the same place there
and in the site.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import docstrings  # noqa: E402  (from this folder)

project = "WITT"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = ["README.md", "docs/*.md", "docs/site/**/*.md", "benchmarks/results/README.md"]

myst_heading_anchors = 4
myst_links_external_new_tab = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Source", "notes_style")]

default_role = "code"
html_theme = "furo"
html_title = "WITT"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["index.html"]  # leads to README.html

CONTENTS = """
```{toctree}
:hidden:

Home <self>
docs/tutorial
```
```{toctree}
:hidden:
:caption: Use

docs/numbers
docs/channels
docs/comparing
docs/semantic
docs/training
docs/ablation
docs/gpu
docs/speed
docs/data
```
```{toctree}
:hidden:
:caption: Results

docs/results
docs/trials
docs/backbones
docs/transfer
docs/analysis
docs/published
benchmarks/results/README
```
```{toctree}
:hidden:
:caption: Extend

docs/extending
docs/design
docs/glossary
```
```{toctree}
:hidden:
:caption: API

docs/site/api/witt
docs/site/api/channels
docs/site/api/plugins
```
"""


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    """The contents go below README, which needs none where it is read alone."""
    if name == root_doc:
        source[0] += CONTENTS


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    # Before napoleon, which looks for the sections.
    app.connect("autodoc-process-docstring", docstrings.process, priority=400)
