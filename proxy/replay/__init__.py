"""Replay: policies tried in memory on a virtual clock, without a network."""
