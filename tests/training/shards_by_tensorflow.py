"""Folders of shards as stage 1 leaves them, written by TensorFlow's own writer."""

import hashlib
import json

import numpy as np
import tensorflow as tf


def write_shards(folder, images, sizes, split="train", attributes=None):
    """Write uint8 images [count, height, width, channels] as len(sizes) shards, and name them in the manifest.

    `attributes` are 0 or 1 for each image, by name.
    """
    folder.mkdir(exist_ok=True, parents=True)
    manifest_path = folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {"shards": []}
    manifest["image"] = {"shape": list(images.shape[1:]), "dtype": "uint8"}
    manifest |= {"source": {"fingerprint": "abc"}, "settings": {"crop": {"name": "progan"}}}
    manifest["attribute_names"] = list(attributes) if attributes else None
    if attributes:
        answers = np.stack(list(attributes.values()), axis=1)
    start = 0
    for index, size in enumerate(sizes):
        path = folder / f"{split}-{index:05d}-of-{len(sizes):05d}.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number in range(start, start + size):
                feature = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[images[number].tobytes()])),
                    "image_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{number:06d}.jpg".encode()])),
                }
                if attributes:
                    listed = tf.train.Int64List(value=answers[number].tolist())
                    feature["attributes"] = tf.train.Feature(int64_list=listed)
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString(deterministic=True))
        start += size
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entry = {"name": path.name, "split": split, "count": size, "bytes": len(content), "sha256": digest}
        manifest["shards"].append(entry)
    manifest_path.write_text(json.dumps(manifest))


def numbered_images(count, side=16):
    """Images that tell which one they are: the first two pixels hold the number, the rest is noise."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(count) // 256, np.arange(count) % 256
    return images


def numbers_of(images):
    """The numbers of `numbered_images`."""
    images = np.asarray(images).astype(int)
    return images[..., 0, 0, 0] * 256 + images[..., 0, 1, 0]


def bright_or_striped(count, seed, share=0.3, levels=(60, 190)):
    """Images of 16x16 that are bright (a share of them), striped (half), both or neither, and the answers."""
    random = np.random.default_rng(seed)
    bright, striped = random.random(count) < share, random.random(count) < 0.5
    images = np.where(bright, levels[1], levels[0])[:, None, None, None] + random.integers(-20, 20, (count, 16, 16, 1))
    images[striped, :, ::4] += 60
    return images.astype(np.uint8), {"Bright": bright.astype(int), "Striped": striped.astype(int)}
