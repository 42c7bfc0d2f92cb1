"""Where values come from: the spatial graph, receptive fields, coverage and schedules, in 1-D to 3-D."""
