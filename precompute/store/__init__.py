"""What can be done with a finished store: check its bytes, describe it, take data out of it."""
