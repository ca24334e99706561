"""`python -m procchi_tui`: the full-screen session."""

from procchi_tui.main import tui

raise SystemExit(tui())
