"""A part of an archive, as a file for the libraries that list archives."""

import io
import os
from collections.abc import Callable

# Reads so many bytes from an offset on, as os.pread does: fewer where the archive ends, OSError where the disk fails.
Pread = Callable[[int, int], bytes]


class Section(io.RawIOBase):
    """`size` bytes of an archive, from `start` on."""

    def __init__(self, pread: Pread, start: int, size: int):
        self._pread, self._start, self._size = pread, start, size
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to an offset, at most to the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = min(max(0, origin + offset), self._size)
        return self._position

    def readinto(self, buffer, /) -> int:
        """Read as much as there is room for, and as there is."""
        data = self._pread(min(len(buffer), self._size - self._position), self._start + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
