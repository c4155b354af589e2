"""Arrays on disk: `.npy` only, never pickled, memory-mapped to read, streamed to write."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from imclust.checks import Refusal, disk_space, refusal

MAGIC = b"\x93NUMPY"


def open_npy(path: Path) -> np.ndarray:
    """Memory-map an array, refusing whatever is not one.

    Raises:
        Refusal: missing file, a web page or anything else under the name `.npy`, pickled objects,
            or a file shorter than its header promises.
    """
    if not path.is_file():
        raise refusal(str(path), "a .npy file", "nothing there", "check the folder and the name")
    with path.open("rb") as f:
        head = f.read(512)
        if not head.startswith(MAGIC):
            raise refusal(str(path), "a .npy array", _sniff(head), "download or save it again")
        shape, dtype, offset = _header(path, f)
    if dtype.hasobject:
        raise refusal(
            str(path),
            "a plain numeric array",
            "pickled Python objects, which are never loaded because they can run code",
            "save it again as numbers, for example np.save(path, np.stack(images))",
        )
    want = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    have = path.stat().st_size
    if have < want:
        raise refusal(
            str(path), f"{want} bytes as its header says", f"{have} bytes", "download it again"
        )
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _header(path: Path, f: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    f.seek(0)
    try:
        version = np.lib.format.read_magic(f)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(f)
    except ValueError as e:
        raise refusal(
            str(path), "a readable .npy array", f"a broken header ({e})", "save it again"
        ) from e
    return shape, dtype, f.tell()


def _sniff(head: bytes) -> str:
    """What a file that is no array seems to be, for the sentence that refuses it."""
    text = head.lstrip().lower()
    if text.startswith(b"<"):
        return "a web page (not logged in, rules not accepted, or a download quota)"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive"
    if not head:
        return "an empty file"
    return f"other content, starting with {head[:8]!r}"


class NpyWriter:
    """Write an array of known shape block by block, in row order.

    Plain writes, not a memory map: a full disk is then an error to report instead of a crash.

    Args:
        path: the file to write.
        shape: the final shape; the blocks' rows must add up to `shape[0]`.
        dtype: the final dtype.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.shape, self.dtype, self._rows = shape, np.dtype(dtype), 0
        disk_space(path.parent, int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize)
        self._file = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, block: np.ndarray) -> None:
        """Append rows. `block`: (any, *shape[1:]) of the promised dtype."""
        if block.shape[1:] != self.shape[1:] or block.dtype != self.dtype:
            raise ValueError(f"block {block.shape} {block.dtype} does not fit {self.shape}")
        self._file.write(np.ascontiguousarray(block).data)
        self._rows += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and self._rows != self.shape[0]:
            raise Refusal(f"{self._rows} of {self.shape[0]} rows were written.")


class NpyRows:
    """Write the rows of an array in any order; its room on the disk is taken at once.

    A disk that is too full is thus refused before the work that would fill it, and a file that
    an interrupted run left can be gone on with.

    Args:
        path: the file to write. shape: (n, d), float32.
        resume: keep what is there.

    Raises:
        Refusal: there is no room.
    """

    def __init__(self, path: Path, shape: tuple[int, int], *, resume: bool = False) -> None:
        self.shape = shape
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        self._offset, self._row = len(header.getvalue()), 4 * shape[1]
        size = self._offset + self._row * shape[0]
        if not resume:
            disk_space(path.parent, size)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        if not resume:
            os.posix_fallocate(self._file, 0, size)
            self._put(header.getvalue(), 0)

    def write(self, row: int, block: np.ndarray) -> None:
        """Put `block` (m, d) float32 at rows `row`, `row` + 1, ..."""
        if block.shape[1:] != self.shape[1:] or block.dtype != np.float32:
            raise ValueError(f"block {block.shape} {block.dtype} does not fit {self.shape}")
        self._put(np.ascontiguousarray(block).tobytes(), self._offset + row * self._row)

    def _put(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, at)
            view, at = view[done:], at + done

    def flush(self) -> None:
        """Have everything written so far on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Finish."""
        os.close(self._file)
