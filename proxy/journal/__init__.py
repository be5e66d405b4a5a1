"""The decision log: one flat record a request, from which the decision can be explained."""
