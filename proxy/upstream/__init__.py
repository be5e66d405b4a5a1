"""The model APIs behind Weir: which one serves a request, and the client that speaks to it."""
