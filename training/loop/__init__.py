"""How a run lives: from step to step, from checkpoint to checkpoint, on one device or many hosts."""
