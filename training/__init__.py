"""Stage 2: shards in, faces out."""
