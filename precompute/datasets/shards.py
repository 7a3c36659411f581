"""Pictures in tar files, laid out as WebDataset does: the members of a sample share a key."""

from __future__ import annotations

import glob
import io
import re
import tarfile
from array import array
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from precompute.datasets.base import IMAGE_SUFFIXES, ImageSet
from precompute.errors import InputError

MOST_SHARDS = 100_000
"""Of a brace range: a slip of the keyboard must not fill the memory."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class TarShards(ImageSet):
    """The pictures of tar files, in the order of the files and of the members within.

    A sample's key is the member's name up to the first dot of its last part; of a sample with
    several pictures the first counts.  The files are listed once, header by header, and afterwards
    read at the places found.  What a torn file holds before the tear is used.

    Raises:
        InputError: a file is missing, compressed or no tar file, or none holds a picture.
    """

    def __init__(self, paths: Sequence[Path], *, name: str) -> None:
        self.name = name
        self._paths = [path.resolve() for path in paths]
        self._names: list[str] = []
        self._shards, self._offsets, self._sizes = array("L"), array("Q"), array("Q")
        self.damaged = []
        self._passed_over = 0
        for shard, path in enumerate(paths):
            self._list(shard, path)
        if not self._names:
            raise InputError(f"no images in {len(paths)} tar files ({_told(paths)})")
        if self._passed_over:
            self.notes = [
                f"{self._passed_over:,} pictures share their key with another and are passed over"
            ]

    def __len__(self) -> int:
        return len(self._names)

    def relative_name(self, number: int) -> str:
        return f"{self._paths[self._shards[number]].name}/{self._names[number]}"

    def size_of(self, number: int) -> int:
        return self._sizes[number]

    def open(self, number: int) -> Image.Image:
        with self._paths[self._shards[number]].open("rb") as file:
            file.seek(self._offsets[number])
            data = file.read(self._sizes[number])
        return Image.open(io.BytesIO(data))

    def _list(self, shard: int, path: Path) -> None:
        """Notes the pictures of one file: members that cannot be reached are named as damaged."""
        keys: set[str] = set()
        members = 0
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    members += 1
                    self._note(shard, member, keys)
                end = tar.offset
            self._check_end(path, end, members)
        except FileNotFoundError:
            raise InputError(f"the tar file {path} does not exist") from None
        except (tarfile.TarError, EOFError) as error:
            if not members:
                raise InputError(
                    f"{path} is no tar file (compressed ones must be unpacked first)"
                ) from error
            self._torn(path, members)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error

    def _check_end(self, path: Path, end: int, members: int) -> None:
        """Names a file that goes on after its last member: the library takes rubbish for an end."""
        with path.open("rb") as file:
            file.seek(end)
            if any(file.read(tarfile.BLOCKSIZE)):
                self._torn(path, members)

    def _torn(self, path: Path, members: int) -> None:
        self.damaged = [*self.damaged, f"{path.name}: torn after {members:,} members"]

    def _note(self, shard: int, member: tarfile.TarInfo, keys: set[str]) -> None:
        path = PurePosixPath(member.name)
        if not member.isfile() or path.suffix.lower() not in IMAGE_SUFFIXES:
            return
        key = str(path.parent / path.name.split(".", 1)[0])
        if key in keys:
            self._passed_over += 1
            return
        keys.add(key)
        self._names.append(member.name)
        self._shards.append(shard)
        self._offsets.append(member.offset_data)
        self._sizes.append(member.size)


def shard_paths(pattern: str) -> list[Path]:
    """Files that ``{0000..0012}`` (kept whether they exist or not) and ``*`` stand for, in order.

    Raises:
        InputError: nothing fits, or a range is empty or too long.
    """
    expanded = _expand(pattern)
    if any(mark in pattern for mark in "*?["):
        expanded = sorted(name for part in expanded for name in _fitting(part))
    if not expanded:
        raise InputError(f"no tar files fit {pattern}")
    return [Path(name) for name in expanded]


def _expand(pattern: str) -> list[str]:
    names = [pattern]
    while found := _RANGE.search(names[0]):
        first, last = found.groups()
        numbers = range(int(first), int(last) + 1)
        if not numbers or len(numbers) * len(names) > MOST_SHARDS:
            raise InputError(f"{found.group()} stands for {len(numbers)} shards")
        names = [
            _RANGE.sub(str(number).zfill(len(first)), name, count=1)
            for name in names
            for number in numbers
        ]
    return names


def _fitting(pattern: str) -> list[str]:
    # Path.glob takes no absolute pattern.
    return glob.glob(pattern)  # noqa: PTH207


def _told(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}"
