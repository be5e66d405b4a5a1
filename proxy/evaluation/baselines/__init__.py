"""Baselines: what is published, and plain quotas, in the same harness. No labels come in here.

The published detectors read prompts through neural encoders on a GPU. These read them through
keyed, hashed character 3-grams (`embedding`): baselines of the method, not of the encoder.
"""
