"""Arrays on disk: `.npy` only, never pickled, memory-mapped to read, streamed to write."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from imclust.core.checks import disk_space
from imclust.core.errors import InputError, input_error
from imclust.core.file_signatures import NPY, describe_content

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

HELD = 64 << 20  # bytes of rows that are copied in memory
BLOCK = 2048  # rows that are copied at once


def open_npy(path: Path) -> np.ndarray:
    """Memory-map an array, refusing whatever is not one.

    Parameters
    ----------
    path : Path
        Of the `.npy` file.

    Returns
    -------
    np.ndarray
        Of the shape and type that the file says, read-only.

    Raises
    ------
    InputError
        Missing file, a web page or anything else under the name `.npy`, pickled objects, or a file
        shorter than its header promises.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     np.save(Path(place) / "x.npy", np.ones((3, 2), np.float32))
    ...     open_npy(Path(place) / "x.npy").shape
    (3, 2)
    """
    if not path.is_file():
        raise input_error(
            str(path), "a .npy file", "nothing there", "check the folder and the name"
        )
    with path.open("rb") as f:
        head = f.read(512)
        if not head.startswith(NPY):
            raise input_error(
                str(path), "a .npy array", describe_content(head), "download or save it again"
            )
        shape, dtype, offset = header(path, f)
    if dtype.hasobject:
        raise input_error(
            str(path),
            "a plain numeric array",
            "pickled Python objects, which are never loaded because they can run code",
            "save it again as numbers, for example np.save(path, np.stack(images))",
        )
    want = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    have = path.stat().st_size
    if have < want:
        raise input_error(
            str(path), f"{want} bytes as its header says", f"{have} bytes", "download it again"
        )
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def header(path: Path, f: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and offset of the numbers of the array in `f`; `path` names it to the user.

    Raises
    ------
    InputError
        There is no readable header.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.ones((3, 2), np.float32))
    >>> header(Path("x.npy"), file)
    ((3, 2), dtype('float32'), 128)
    """
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
        raise input_error(
            str(path), "a readable .npy array", f"a broken header ({e})", "save it again"
        ) from e
    return shape, dtype, f.tell()


class NpyRows:
    """Write the rows of an array in any order; its room on the disk is taken at once.

    A disk that is too full is thus refused before the work that would fill it, and a file that
    an interrupted run left can be gone on with. Plain writes, not a memory map: a full disk is
    then an error to report instead of a crash.

    Parameters
    ----------
    path : Path
        The file to write.
    shape : tuple[int, ...]
        (n, d), numbers.
    kept : int | None
        Rows that are in the file already; None to begin it.
    half : bool
        Whether numbers are float16, else float32.

    Raises
    ------
    InputError
        There is no room; at the end of the `with` block: rows are missing.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], *, kept: int | None = None, half: bool = False
    ) -> None:
        self.shape, self._rows = shape, kept or 0
        self._dtype = np.dtype(np.float16 if half else np.float32)
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head,
            {"descr": self._dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape},
        )
        self._offset, self._row = len(head.getvalue()), self._dtype.itemsize * shape[1]
        size = self._offset + self._row * shape[0]
        if kept is None:
            disk_space(path.parent, size)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        if kept is None:
            os.posix_fallocate(self._file, 0, size)
            self._put(head.getvalue(), 0)

    def write(self, row: int, block: np.ndarray) -> None:
        """Put `block` (m, d) of that type at rows `row`, `row` + 1, ..., each written once."""
        if block.shape[1:] != self.shape[1:] or block.dtype != self._dtype:
            raise ValueError(f"block {block.shape} {block.dtype} does not fit {self.shape}")
        self._put(np.ascontiguousarray(block).data.cast("B"), self._offset + row * self._row)
        self._rows += len(block)

    def _put(self, data: bytes | memoryview, at: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, at)
            view, at = view[done:], at + done

    def flush(self) -> int:
        """Have everything written so far on the disk; returns how many rows that is."""
        os.fsync(self._file)
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        os.close(self._file)
        if kind is None and self._rows != self.shape[0]:
            raise InputError(f"{self._rows} of {self.shape[0]} rows were written.")


@contextmanager
def scratch_array(folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[np.ndarray]:
    """An array on the disk for as long as the block lasts: the system, not the process, holds it.

    Parameters
    ----------
    folder : Path
        Where the file lies; it has no name, and is gone when the process is.
    shape : tuple of int
        Of the array, zeros.
    dtype : numpy dtype
        Of its numbers.

    Raises
    ------
    InputError
        There is no room.

    Examples
    --------
    >>> import tempfile
    >>> with scratch_array(Path(tempfile.gettempdir()), (2, 3), np.uint8) as x:
    ...     x[1] = 7
    ...     int(x.sum())
    21
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    disk_space(folder, size)
    with TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # else a disk that fills up is only met under way
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        else:
            file.truncate(max(size, 1))
        yield np.memmap(file, dtype, "r+", shape=shape)


def kept_rows(x: np.ndarray, keep: np.ndarray, folder: Path, stack: ExitStack) -> np.ndarray:
    """Some rows of an array, of which only few are held in memory.

    Parameters
    ----------
    x : np.ndarray
        (n, d), memory-mapped or not.
    keep : np.ndarray
        (n,) bool, the rows.
    folder : Path
        Where many rows that do not lie side by side are copied to, in a file without a name.
    stack : ExitStack
        Until which they are needed.

    Returns
    -------
    np.ndarray
        (m, d): a copy in memory of HELD bytes at most; or else a view, or that copy on the disk.

    Examples
    --------
    >>> x = np.arange(6).reshape(3, 2)
    >>> with ExitStack() as stack:
    ...     kept_rows(x, np.array([True, False, True]), Path(), stack).tolist()
    [[0, 1], [4, 5]]
    """
    rows = np.flatnonzero(keep)
    if len(rows) * x.shape[1] * x.dtype.itemsize <= HELD:
        return np.asarray(x[rows])
    if rows[-1] - rows[0] == len(rows) - 1:
        return x[rows[0] : rows[-1] + 1]
    copy = stack.enter_context(scratch_array(folder, (len(rows), x.shape[1]), x.dtype))
    for a in range(0, len(rows), BLOCK):
        copy[a : a + BLOCK] = x[rows[a : a + BLOCK]]
    return copy
