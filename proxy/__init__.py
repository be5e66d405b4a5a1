"""Weir: a gateway that stops model extraction."""
