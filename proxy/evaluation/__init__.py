"""Evaluation: what policies and detectors make of labelled traffic, beside baselines."""
