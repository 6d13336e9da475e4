"""The ledger: which source version was loaded where, and which records were set aside.

Nothing is imported here: a step that loads nothing needs receipts alone.
"""
