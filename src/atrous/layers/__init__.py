"""Parts that networks are made of: initializations and blocks."""
