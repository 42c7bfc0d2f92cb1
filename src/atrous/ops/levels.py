"""In how many levels sound is stored: what mu-law companding and data agree on, without torch."""

LEVELS = 256  # van den Oord et al. 2016, section 2.2
