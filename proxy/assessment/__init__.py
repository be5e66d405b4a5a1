"""The watch plane off the path: noting what accounts collect, and assessing it."""
