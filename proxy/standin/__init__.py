"""A deterministic model server for demos, tests and load: one word is one token, exactly."""
