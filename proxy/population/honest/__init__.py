"""Honest accounts: what each archetype does, and what makes it look like a thief."""
