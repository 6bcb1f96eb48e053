"""Sources of photos. A source is listed once, in the parent; workers read single photos at known locations."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from posixpath import normpath, splitext
from typing import Any

import click

from preprocess.crop import Rejection
from preprocess.sources.archive import open_archive
from preprocess.sources.folder import Folder
from preprocess.sources.photo import OTHER_SUFFIXES, PHOTO_SUFFIXES, Container, Entry
from preprocess.sources.prefix import Prefix
from system.objects import Url

Location = tuple[Any, ...]  # the index of a container, and the location in it
Read = Callable[[Location], bytes]  # raises UnusablePhoto for a photo that cannot be read

IDS = ("name", "path")  # a photo's id is its file name, or its path in the container, where names repeat


def _id_of(path: str, ids: str) -> str:
    """Return the id of the photo at this path; `ids` is one of IDS."""
    return normpath(path) if ids == "path" else path.rpartition("/")[2]  # tar calls its members ./cat/0.jpg


@dataclass(frozen=True)
class Listing:
    """The photos of a source."""

    photos: dict[str, Location]  # the location of each photo by its id, in the order of ids
    rejected: tuple[Rejection, ...]  # photos that cannot be used, among them those whose id is taken, by their paths
    rejected_ids: tuple[str, ...]  # the id that each of them would have
    fingerprint: str  # a SHA-256 that changes when a photo is added, removed, renamed or replaced
    passed_over: Mapping[str, int]  # the number of pictures of other kinds, by their suffix


@dataclass(frozen=True)
class Source:
    """Folders, archives and prefixes that hold photos, in the order in which they were named.

    It goes to the workers.
    """

    containers: tuple[Container, ...]

    @property
    def paths(self) -> tuple[Path | Url, ...]:
        """The folders, archives and prefixes."""
        return tuple(container.path for container in self.containers)

    def list(self, ids: str = "name") -> Listing:
        """Return every photo, without reading any; of equal ids the first is taken. `ids` is one of IDS.

        Raises click.UsageError where a container cannot be listed, or holds nothing that can be used.
        """
        photos: dict[str, Location] = {}
        rejected, rejected_ids = [], []
        signatures = []
        passed_over: Counter[str] = Counter()
        for number, container in enumerate(self.containers):
            within = f"{container.path.name}/" if len(self.containers) > 1 else ""
            for entry in _photos_of(container, passed_over):
                photo_id = _id_of(entry.path, ids)
                reason = entry.problem or _refusal(entry.path, photo_id, photos)
                if reason is None:
                    photos[photo_id] = (number, *entry.location)
                else:
                    rejected.append(Rejection(within + entry.path, reason))
                    rejected_ids.append(photo_id)
                signatures.append(f"{entry.path}\0{entry.signature}\0{reason}\n")
        fingerprint = sha256("".join(sorted(signatures)).encode(errors="surrogateescape")).hexdigest()
        ordered = {photo_id: photos[photo_id] for photo_id in sorted(photos)}
        return Listing(ordered, tuple(rejected), tuple(rejected_ids), fingerprint, passed_over)

    @contextmanager
    def opened(self, ahead: Sequence[Location] = ()) -> Iterator[Read]:
        """Open every container for reading, without listing it. Locations `ahead` will be read in this order."""
        with ExitStack() as stack:
            reads = [
                stack.enter_context(container.opened([location[1:] for location in ahead if location[0] == number]))
                for number, container in enumerate(self.containers)
            ]
            yield lambda location: reads[location[0]](*location[1:])


def open_source(paths: Sequence[Path | Url]) -> Source:
    """Return the source that is these folders, archives and prefixes.

    Raises click.UsageError where one cannot be read, StorageError where a server cannot be asked.
    """
    return Source(tuple(_container(path.absolute()) for path in paths))


def _container(path: Path | Url) -> Container:
    if isinstance(path, Url):
        return _container_of_objects(path)
    try:
        if path.is_dir():
            return Folder(path)
        if path.is_file():
            return open_archive(path)
        fault = "is neither a folder nor a file" if path.exists() else "does not exist"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    raise click.UsageError(f"{path} {fault}. --source takes a folder of photos, a zip or a tar.")


def _container_of_objects(url: Url) -> Container:
    """Return the archive that is the object at a URL, or the prefix where there is none."""
    is_archive = url.name.lower().endswith((".zip", ".tar"))
    if not url.can_write and not is_archive:
        raise click.UsageError(
            f"{url} cannot be listed: name a zip or a tar. Photos of their own are read from buckets."
        )
    if is_archive or url.is_file():
        return open_archive(url)
    return Prefix(url)


def passed_over_message(passed_over: Mapping[str, int]) -> str:
    """Return the sentence that names pictures of other kinds, by their suffixes; "" where there are none."""
    if not passed_over:
        return ""
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(passed_over.items()))
    return f"Pictures of other kinds are passed over ({kinds}): convert them to JPEG or PNG."


def _photos_of(container: Container, passed_over: Counter[str]) -> Iterator[Entry]:
    """Yield the photos of a container, and count its pictures of other kinds in `passed_over`.

    Raises click.UsageError in the end where no photo can be used.
    """
    first, is_usable = None, False
    other_kinds: Counter[str] = Counter()
    for entry in container.entries():
        is_photo = entry.path.endswith(PHOTO_SUFFIXES)  # for the usual suffixes: saves 0.1 s on all of CelebA
        suffix = "" if is_photo else splitext(entry.path)[1].lower()
        if suffix in OTHER_SUFFIXES:
            other_kinds[suffix] += 1
            continue
        first = first or entry
        is_usable = is_usable or not entry.problem
        yield entry
    passed_over.update(other_kinds)
    if first is None:
        fault = f"{container.path} holds no photos ({', '.join(PHOTO_SUFFIXES)})"
        advice = passed_over_message(other_kinds) or "Name the folder, zip or tar that they are in."
        raise click.UsageError(f"{fault}. {advice}")
    if not is_usable:
        raise click.UsageError(f"{container.path} holds no photo that can be used: {first.path} is {first.problem}.")


def _refusal(path: str, photo_id: str, taken: Collection[str]) -> str | None:
    """Return why no photo of this id can be taken, or None where one can."""
    if photo_id in taken:
        advice = "" if photo_id == normpath(path) else ": use --ids path"
        return f"another photo of this name came before{advice}"
    try:
        photo_id.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    return None
