"""Losses, schedules, optimizers and the loop; no models, no data."""
