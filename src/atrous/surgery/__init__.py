"""Networks changed while their function is kept: classifiers made dense, and heads made convolutional."""
