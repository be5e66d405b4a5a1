"""Policies: what the files say (schema), how they are read (loader), what runs (compiled)."""
