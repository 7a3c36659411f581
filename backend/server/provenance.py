"""Reads a store's record of its making, and the exactness report beside it."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from backend.server import schemas
from backend.server.open_store import OpenStore
from backend.server.urls import Urls
from backend.store.exactness import kept_report
from backend.store.format import VOCABULARY, FileRecord

log = logging.getLogger(__name__)


def provenance(opened: OpenStore, urls: Urls) -> schemas.Provenance:
    """Everything that the store's manifest tells, and the report."""
    store, manifest = opened.store, opened.store.manifest
    return schemas.Provenance(
        model=store.name,
        url=urls.provenance(store.name),
        data_version=store.data_version,
        architecture=manifest.model.architecture,
        pretrained=manifest.model.pretrained,
        quickgelu=manifest.model.quickgelu,
        weights_sha256=manifest.model.weights_sha256,
        preprocessing=manifest.preprocessing,
        dataset=manifest.dataset.name,
        images=manifest.dataset.images,
        unreadable=list(manifest.dataset.unreadable),
        dataset_sha256=manifest.dataset.sha256,
        words=len(store.vocabulary),
        vocabulary_sha256=manifest.files[VOCABULARY].sha256,
        templates=list(manifest.templates),
        parameters=manifest.parameters,
        code_version=manifest.code_version,
        format_version=manifest.format_version,
        created=datetime.fromisoformat(manifest.created),
        timings=manifest.timings,
        files=[_file(path, record) for path, record in sorted(manifest.files.items())],
        size=sum(record.size for record in manifest.files.values()),
        exactness=exactness(store.path),
    )


def exactness(store: Path) -> schemas.ExactnessReport | None:
    """The report beside a store.  Read at each call: `pairscope verify` may write it meanwhile."""
    content = kept_report(store)
    if content is None:
        return None
    try:
        return schemas.ExactnessReport.model_validate_json(content)
    except ValidationError:
        log.warning("the exactness report of store %s cannot be read", store.name)
        return None


def _file(path: str, record: FileRecord) -> schemas.StoredFile:
    return schemas.StoredFile(
        path=path,
        size=record.size,
        sha256=record.sha256,
        arrays=[
            schemas.StoredArray(name=name, dtype=kind, shape=list(shape))
            for name, (kind, shape) in record.arrays.items()
        ],
    )
