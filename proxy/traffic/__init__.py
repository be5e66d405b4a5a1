"""Traffic: requests with their answers as JSON lines, to be recorded, composed and replayed."""
