"""The documentation's site: the Markdown pages of this folder, read by Sphinx. `make docs` builds it and checks every link."""

from retrain_assets import __version__

project = "retrain_assets"
author = "The retrain_assets maintainers"
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
nitpicky = True

myst_heading_anchors = 4  # the anchors that the pages' own links use, as on a code host
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"retrain_assets {__version__}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
