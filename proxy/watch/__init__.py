"""What an account is collecting: features, profiles, detectors and evidence. Pure."""
