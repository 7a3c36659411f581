"""What a store is: everything its manifest tells, and the counts that follow from its shapes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from backend.store import Store


def facts(store: Store) -> dict[str, Any]:
    """A store in plain data, keys in order; sizes in bytes, timings in seconds."""
    manifest = store.manifest
    _, d_out, d_head = store.factors["output"].shape
    return {
        "path": str(store.path),
        "name": manifest.name,
        "data_version": store.data_version,
        "format_version": manifest.format_version,
        "code_version": manifest.code_version,
        "created": manifest.created,
        "model": asdict(manifest.model),
        "preprocessing": manifest.preprocessing,
        "dataset": asdict(manifest.dataset),
        "templates": manifest.templates,
        "parameters": manifest.parameters,
        "counts": {
            "neurons": store.n_neurons,
            "heads": store.n_heads,
            "pairs": store.n_neurons * store.n_heads,
            "d_head": d_head,
            "d_out": d_out,
            "words": len(store.vocabulary),
            "images": manifest.dataset.images,
            "unreadable_images": len(manifest.dataset.unreadable),
        },
        "files": {
            file: {
                "size": record.size,
                "sha256": record.sha256,
                "arrays": {name: [kind, *shape] for name, (kind, shape) in record.arrays.items()},
            }
            for file, record in manifest.files.items()
        },
        "size": sum(record.size for record in manifest.files.values()),
        "timings": manifest.timings,
    }
