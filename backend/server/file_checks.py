"""Whether the files of the open stores are, byte for byte, what their manifests say."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from backend.store import Store, StoreError
from backend.store.integrity import check_integrity

log = logging.getLogger(__name__)

REST = 3.0
"""Seconds of rest for each second of reading and hashing: a quarter of a processor at most, and
some two seconds for 450 MB."""


class GivenUpError(Exception):
    """The server ends before the check does."""


class FileChecks:
    """One look at all files, in the background; opening a store checks all but their hashes."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._ended = threading.Event()
        self.damage: list[str] = []
        """One sentence for each store whose files are not what was written; no paths."""

    def run(self) -> None:
        """Check store after store; findings are logged, and what they mean for visitors kept."""
        for store in self._stores:
            try:
                self._check(store)
            except GivenUpError:
                return
            except StoreError as exc:
                log.error("%s", exc)
            except Exception:
                log.exception("the files of %s could not be checked", store.path)

    def end(self) -> None:
        """Give the check up, at the next read."""
        self._ended.set()

    def _check(self, store: Store) -> None:
        found = check_integrity(store.path, rest=self._rest)
        for finding in found.findings:
            level = logging.ERROR if finding in found.damage else logging.WARNING
            log.log(
                level,
                "%s: %s: %s; %s",
                store.path,
                finding.file,
                finding.problem,
                finding.remedy,
            )
        if found.damage:
            self.damage.append(
                f"{store.name}: its files are not what was written; "
                "`pairscope store verify` names them."
            )

    def _rest(self, worked: float) -> None:
        if self._ended.wait(worked * REST):
            raise GivenUpError
