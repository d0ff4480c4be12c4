"""For the tests of the contract."""

collect_ignore = ["published_mistakes.py"]  # losses that must be rejected; only their own test may load them
