"""What is deleted together: a picture with its shares, a share with its picture."""

from __future__ import annotations

from backend.server.kept import KeptUploads
from backend.server.share_database import ShareDatabase, StoredShare


def delete_picture(database: ShareDatabase, kept: KeptUploads, image: str) -> None:
    """Delete a picture with all that was made of it, and every share that shows it.

    The shares go first: after a crash between the two the picture goes when it expires.
    """
    database.delete_of(image)
    kept.delete(image)


def delete_share(database: ShareDatabase, kept: KeptUploads, share: StoredShare) -> None:
    """Delete a share and, unless another share shows it, its picture with all that was made."""
    database.delete(share.id)
    if share.image is not None and not database.keeps(share.image):
        kept.delete(share.image)
