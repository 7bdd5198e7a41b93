"""`python -m wam_tools` is the `wam` command."""

from __future__ import annotations

from wam_tools.cli import main

main()
