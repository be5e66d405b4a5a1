"""Wire formats: how to read a request, pass it on, meter its answer and refuse natively. Pure."""
