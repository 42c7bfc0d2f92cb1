"""The page and the HTTP API of `atrous serve`: what they allow, what they answer, and how they look."""
