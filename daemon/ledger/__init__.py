"""What happened here, for the admin to check: a chain of signed entries, and signed manifests of models.

The form of both, and what a check can and cannot see: docs/ledger.md.
"""
