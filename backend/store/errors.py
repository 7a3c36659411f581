"""The one error of this package that people see."""


class StoreError(Exception):
    """A store cannot be opened or written; the message says which, why, and what to run."""
