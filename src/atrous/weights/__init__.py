"""Foreign weight files: read, renamed, checked."""
