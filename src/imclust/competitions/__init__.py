"""Challenges, the services that host them, submissions and the ledger of what was sent."""
