"""From a network and an image to a label map."""
