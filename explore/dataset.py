"""Draw a data set with the generator of a run, laid out as CelebA: python -m explore.dataset."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile, ZipInfo

import click
import numpy as np
from click import UsageError
from PIL import ImageFilter

from system.command import LocalPath
from system.files import replacing, write_text
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.features import check_writable_folder
from training.options import SEED, FindShards, best_of_option, features_dir_option, run_option, shards_options

ARCHIVE, ATTRIBUTES, PARTITIONS = "drawn_faces.zip", "list_attr_celeba.txt", "list_eval_partition.txt"
# 3,000 grey photos are 7.3 MB. Their shards differ from the faces by 2.8 grey levels (39 dB), at 50 by 2.4 and 8.2 MB.
QUALITY = 40
BLUR = 12  # standard deviation around a face, in pixels of the photo


class Layout(NamedTuple):
    """Where a face lies in a photo, in pixels."""

    box: tuple[int, int, int, int]  # left, top, right, bottom
    photo_size: tuple[int, int]  # width, height


@click.command(cls=Command)
@run_option
@shards_options
@features_dir_option
@click.option("--count", type=click.IntRange(1, 999_999), default=3000, help="Number of faces.")
@click.option("--seed", type=SEED, default=0, help="Seed of the faces.")
@best_of_option
@click.option(
    "--out",
    type=LocalPath(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write to, perhaps a new one.",
)
def main(
    folder: Path,
    find_shards: FindShards,
    features_dir: Path | None,
    count: int,
    seed: int,
    best_of: int,
    out: Path,
) -> None:
    """Draw a data set with the generator of a run, laid out as CelebA.

    Writes drawn_faces.zip, photos with a face where the crop of the shards takes it from; list_attr_celeba.txt, their
    attributes by the network of training.features; and list_eval_partition.txt. preprocess.run reads them as CelebA.
    """
    config, path = configs.load_with_generator(folder)
    photos = find_shards(features_dir)
    configs.check_shards_fit_run(config, photos.image_shape)
    layout = layout_of(photos.origin["crop"])
    if not (out / ARCHIVE).exists() and ((out / ATTRIBUTES).exists() or (out / PARTITIONS).exists()):
        raise UsageError(f"{out} holds the lists of other photos, which would be replaced: choose another --out.")
    check_writable_folder(out)
    with startup_messages_hidden():
        from training import choosing, draw
        from training.metrics import attributes
        from training.metrics.space import progress

        generator = draw.load(path)
    classifier, card = attributes.load_network(photos)
    labels = draw.labels_of(folder, config, count, seed)
    z = choosing.latents(generator, count, seed, config.method.latent_distribution, best_of, labels)
    with progress(count, "Faces") as bar:
        faces = draw.render(generator, z, labels, bar.update)
    answers = attributes.logits(classifier, faces) > 0
    ids = [f"{number:06d}.jpg" for number in range(1, count + 1)]
    with replacing(out / ARCHIVE) as partial, ZipFile(partial, "w") as archive:
        for photo_id, photo in zip(ids, photos_of(faces, layout), strict=True):
            archive.writestr(ZipInfo(f"img_align_celeba/{photo_id}"), photo)  # of a fixed date
    # After the archive: lists without it are taken for those of other photos.
    write_text(out / ATTRIBUTES, attribute_list(card.attribute_names, dict(zip(ids, answers, strict=True))))
    write_text(out / PARTITIONS, partition_list(ids))
    print(f"{out}: {count:,} faces in {ARCHIVE}{choosing.described(best_of)}; with {ATTRIBUTES} and {PARTITIONS}.")


def layout_of(crop: Mapping[str, Any]) -> Layout:
    """Return where a crop, as the manifest has it, finds a face; raise UsageError where that depends on the photo."""
    if not crop.get("box") or not crop.get("photo_size"):
        raise UsageError(
            f"The shards have the crop {crop['name']}, which takes photos of any size: it does not say where in a "
            "photo a face lies. Give --shards those of a crop of CelebA's photos, such as progan."
        )
    return Layout(tuple(crop["box"]), tuple(crop["photo_size"]))


def photos_of(faces: np.ndarray, layout: Layout) -> Iterator[bytes]:
    """Yield a JPEG for each face, uint8 [count, height, width, channels]: around it, its edges go on, blurred."""
    from training import draw

    (left, top, right, bottom), (width, height) = layout
    around = ((top, height - bottom), (left, width - right), (0, 0))
    for first in range(0, len(faces), draw.BATCH):
        large = enlarged(faces[first : first + draw.BATCH] / np.float32(255), (bottom - top, right - left))
        for face in draw.to_pixels(large):
            photo = draw.to_image(np.pad(face, around, "edge")).filter(ImageFilter.GaussianBlur(BLUR))
            photo.paste(draw.to_image(face), (left, top))
            file = io.BytesIO()
            photo.save(file, "JPEG", quality=QUALITY, optimize=True)
            yield file.getvalue()


def enlarged(faces: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize faces, float32 [count, height, width, channels], so that the means of areas are the faces again.

    Lanczos, and twice what its means lack (iterative back-projection, Irani and Peleg 1991): a shard's pixels are such
    means, and half as far from the faces as after Lanczos alone.
    """
    import tensorflow as tf

    large = tf.image.resize(faces, size, "lanczos3")
    for _ in range(2):
        large += tf.image.resize(faces - tf.image.resize(large, faces.shape[1:3], "area"), size, "lanczos3")
    return large.numpy()


def attribute_list(names: Sequence[str], answers: Mapping[str, np.ndarray]) -> str:
    """Return CelebA's list of attributes for photos by their id: 1 for yes, -1 for no."""
    rows = [" ".join([photo_id, *(" 1" if yes else "-1" for yes in row)]) for photo_id, row in answers.items()]
    return "\n".join([str(len(rows)), " ".join(names), *rows]) + "\n"


def partition_list(ids: Sequence[str]) -> str:
    """Return CelebA's list of partitions, with its shares: of ten photos, one is in valid (1) and one in test (2).

    They alternate, so that a part of the photos, preprocess.run --limit, has all three.
    """
    return "".join(f"{photo_id} {'0000000012'[index % 10]}\n" for index, photo_id in enumerate(ids))


if __name__ == "__main__":
    main()
