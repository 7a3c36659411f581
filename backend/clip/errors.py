"""The one error of this package that people see."""


class ModelError(ValueError):
    """A model cannot be had as asked; the message says in one sentence why and what would work."""
