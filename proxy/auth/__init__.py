"""Who sent this: opaque keys, tokens, and the addresses behind trusted proxies."""
