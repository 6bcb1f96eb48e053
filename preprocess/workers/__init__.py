"""Shard after shard: on processes of this machine (local.py) or on a cluster (dask.py)."""
