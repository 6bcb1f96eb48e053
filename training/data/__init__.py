"""Shards of photos to batches."""
