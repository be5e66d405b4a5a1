"""Pure values that every other room speaks in."""
