"""The one error of this package that people see."""


class InputError(ValueError):
    """Something that was asked for cannot be done; the message is one sentence that says why."""
