"""The doors: the developers' port and the operator's."""
