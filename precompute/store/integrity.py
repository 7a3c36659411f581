"""The check of a store's files under its offline name; the server runs it too."""

from backend.store.integrity import array_shapes, check_integrity

__all__ = ["array_shapes", "check_integrity"]
