"""Arithmetic on tensors: convolution, padding, resampling."""
