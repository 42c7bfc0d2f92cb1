"""Everything drawn: overlays, curves, tables, reports."""
