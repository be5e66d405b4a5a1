"""Campaigns: one operator, many accounts; what is asked, how it is shared, how it is hidden."""
