"""Data sets on disk: read, checked, augmented, batched."""
