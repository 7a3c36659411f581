"""The artifact: one directory per model and data set, read-only once finished."""

from backend.store.errors import StoreError
from backend.store.format import FORMAT_VERSION, Manifest
from backend.store.reader import Exemplars, Store, open_store
from backend.store.writer import StoreWriter

__all__ = [
    "FORMAT_VERSION",
    "Exemplars",
    "Manifest",
    "Store",
    "StoreError",
    "StoreWriter",
    "open_store",
]
