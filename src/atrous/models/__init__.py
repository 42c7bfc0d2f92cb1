"""One network a file, and the catalog of their names."""
