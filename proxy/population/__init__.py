"""Populations: labelled traffic composed of accounts, texts, arrivals and campaigns."""
