"""Stage 1: photos in, shards of 64x64 grey faces out. Never imports TensorFlow."""
