"""How near the faces of a run come to given photos: python tests/benchmarks/projection.py --source celeba.zip.

For held-out photos of CelebA, z is optimised until the face is like the photo, in pixels and in the features of two
networks; then a z for each layer of G that takes one. Whether the face is the person's is asked of a network that had
no part in it, dlib's face recognition: pip install dlib-bin face-recognition-models. Prints the table of
docs/exploring.md. Two photos are taken for one person's where dlib finds them less than SAME_PERSON apart at full size.
"""

from __future__ import annotations

import io
import zipfile
from importlib import import_module
from pathlib import Path

import click
import numpy as np
from measure import ROOT, table
from PIL import Image

from preprocess.crop import CELEBA_BOXES, CELEBA_PHOTO
from training.command import startup_messages_hidden
from training.data.shards import find

SAME_PERSON = 0.42  # dlib's own threshold, for photos that are aligned less closely, is 0.6
FACE = (34, 68, 144, 178)  # of an aligned photo, as dlib's detector frames it
STARTS, POOL = 2, 3000  # faces that each search begins with: those most like the photo, of so many
STEPS = {"one z": (150, 0.08), "a z for each layer": (120, 0.05)}  # with the learning rate, which falls to 0
PIXELS, ATTRIBUTES, PERCEPTUAL, PRIOR = 20.0, 1.0, 2.0, 0.002  # weights


class Recogniser:
    """dlib's face recognition."""

    def __init__(self) -> None:
        try:
            self.dlib, models = import_module("_dlib_pybind11"), import_module("face_recognition_models")
        except ImportError as error:
            raise click.ClickException(f"{error}: pip install dlib-bin face-recognition-models") from None
        folder = Path(models.__path__[0]) / "models"
        self.landmarks = self.dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        self.network = self.dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def of_photo(self, photo: Image.Image) -> np.ndarray:
        """Describe a face in an aligned RGB photo: float64 [128], the same person within about 0.6."""
        pixels = np.asarray(photo)
        shape = self.landmarks(pixels, self.dlib.rectangle(*FACE))
        return np.array(self.network.compute_face_descriptor(pixels, shape))

    def of_faces(self, faces: np.ndarray) -> np.ndarray:
        """Describe faces of the crop progan, uint8 [count, side, side, 1], put back into a grey photo."""
        left, top, right, bottom = CELEBA_BOXES["progan"][0]
        described = []
        for face in faces:
            photo = Image.new("RGB", CELEBA_PHOTO, (90, 90, 90))
            enlarged = Image.fromarray(face[..., 0]).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
            photo.paste(enlarged.convert("RGB"), (left, top))
            described.append(self.of_photo(photo))
        return np.array(described)


def pairs_of_one_person(source: Path, names: list[str], recogniser: Recogniser, count: int) -> list[tuple[int, int]]:
    """Return pairs of indices of photos in a zip that seem to be of one person, each person once."""
    with zipfile.ZipFile(source) as archive:
        entries = {Path(entry).name: entry for entry in archive.namelist()}
        photos = (Image.open(io.BytesIO(archive.read(entries[name]))).convert("RGB") for name in names)
        described = np.array([recogniser.of_photo(photo) for photo in photos])
    squared = np.sum(described**2, axis=1)
    apart = np.sqrt(np.maximum(squared[:, None] + squared - 2 * described @ described.T, 0))
    near = np.argwhere(np.triu((apart < SAME_PERSON) & (apart > 0.1), 1))  # nearer ones are one picture twice
    pairs: list[tuple[int, int]] = []
    for first, second in np.random.default_rng(0).permutation(near):
        if not {first, second} & {index for pair in pairs for index in pair}:
            pairs.append((int(first), int(second)))
    return pairs[:count]


def project(folder: Path, shards: Path, photos: np.ndarray) -> dict[str, np.ndarray]:
    """Return the faces nearest to photos, uint8 [count, side, side, 1], by how they were found."""
    import keras
    import tensorflow as tf

    from training import draw
    from training.metrics import attributes, efficientnet

    generator = draw.load(folder / "generator.keras")
    network, _ = attributes.load_network(find([str(shards)]).only({"train"}))
    features = keras.Model(network.input, network.get_layer("features").output)
    z_layers = [layer for layer in generator.layers if layer.input is generator.inputs[0] and layer.weights]

    def faces_of(z: list[tf.Tensor]) -> tf.Tensor:
        """Run G with a z for each layer that takes one."""
        values = {id(layer.output): layer(each) for layer, each in zip(z_layers, z, strict=True)}
        for layer in generator.layers:
            if id(layer.output) not in values and layer.output is not generator.inputs[0]:
                inputs = [
                    values[id(entry)] for entry in (layer.input if isinstance(layer.input, list) else [layer.input])
                ]
                values[id(layer.output)] = layer(inputs if len(inputs) > 1 else inputs[0])
        return values[id(generator.outputs[0])]

    pool = draw.latents(generator, POOL, 0, "normal")
    drawn = draw.render(generator, pool)
    of_drawn, of_photos = (features.predict(images, verbose=0) for images in (drawn, photos))
    spread = of_drawn.std(0) + 1e-3
    flat, flat_drawn = (images.reshape(len(images), -1) / np.float32(255) for images in (photos, drawn))
    unlike = [
        ATTRIBUTES * np.mean(((own - of_drawn) / spread) ** 2, 1) + PIXELS * np.mean((pixels - flat_drawn) ** 2, 1)
        for own, pixels in zip(of_photos, flat, strict=True)
    ]
    starts = np.argsort(unlike, axis=1)[:, :STARTS]
    target = tf.constant(np.repeat(photos, STARTS, axis=0) / np.float32(255))
    of_target, seen = np.repeat(of_photos, STARTS, axis=0), efficientnet.perceptual(target)
    results = {f"the nearest of {POOL:,} faces": drawn[starts[:, 0]]}
    z = pool[starts.ravel()]
    for name, (steps, rate) in STEPS.items():
        is_one = name == "one z"
        variable = tf.Variable(z if is_one else np.stack([z] * len(z_layers)))
        decay = keras.optimizers.schedules.CosineDecay(rate, steps)
        optimizer = keras.optimizers.Adam(decay, beta_2=0.99)

        def losses(variable=variable, is_one=is_one) -> tuple[tf.Tensor, tf.Tensor]:
            faces = faces_of([variable] * len(z_layers) if is_one else tf.unstack(variable))
            loss = PIXELS * tf.reduce_mean((faces - target) ** 2, [1, 2, 3])
            loss += ATTRIBUTES * tf.reduce_mean(((features(255.0 * faces) - of_target) / spread) ** 2, 1)
            loss += PERCEPTUAL * tf.reduce_sum((efficientnet.perceptual(faces) - seen) ** 2, [1, 2])
            return faces, loss

        @tf.function
        def gradient(variable=variable, losses=losses) -> tf.Tensor:
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(losses()[1]) + PRIOR * tf.reduce_sum(variable**2)
            return tape.gradient(total, variable)

        for _ in range(steps):
            optimizer.apply([gradient()], [variable])
        faces, loss = losses()
        best = np.arange(len(photos)) * STARTS + loss.numpy().reshape(-1, STARTS).argmin(1)
        results[name], z = draw.to_pixels(faces.numpy())[best], variable.numpy()
    return results


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--source", type=click.Path(path_type=Path, exists=True), required=True, help="A zip of CelebA.")
@click.option("--shards", type=click.Path(path_type=Path, exists=True), default="data", help="Shards made from it.")
@click.option("--run", "folder", type=click.Path(path_type=Path, exists=True), default=ROOT / "docs/models/lite")
@click.option("--count", default=16, help="Photos, each of another person.")
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Write a PNG: photos, then a row for each of the table."
)
def main(source: Path, shards: Path, folder: Path, count: int, picture: Path | None) -> None:
    """Search the faces nearest to held-out photos, and ask whose they are."""
    recogniser = Recogniser()
    with startup_messages_hidden():
        from training.data.reading import read_ids, read_images

    held_out = find([str(shards)]).only({"valid", "test"})
    names, images = read_ids(held_out), read_images(held_out)
    pairs = pairs_of_one_person(source, names, recogniser, count)
    photos, others = (images[[pair[side] for pair in pairs]] for side in (0, 1))
    results = {"another photo of the person": others, "a photo of another person": np.roll(others, 1, axis=0)}
    results |= project(folder, shards, photos)
    if picture:
        rows_of_images = [np.concatenate(list(images), axis=1) for images in (photos, *results.values())]
        Image.fromarray(np.concatenate(rows_of_images)[..., 0]).save(picture)
    own = recogniser.of_faces(photos)
    rows = []
    for name, faces in results.items():
        apart = np.linalg.norm(recogniser.of_faces(faces) - own, axis=1)
        low, middle, high = np.percentile(apart, [10, 50, 90])
        rows.append((name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{np.mean(apart < 0.6):.0%}"))
    print(f"{len(pairs)} photos at the size of the shards.\n")
    print(table(("compared with the photo", "distance, median", "8 of 10 are within", "below 0.6"), rows))


if __name__ == "__main__":
    main()
