"""Networks as files that run without this package, and the proof that they say the same."""
