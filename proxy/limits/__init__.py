"""The arithmetic of buckets: pure, integers only, the clock an argument."""
