"""Networks, losses and one training step. Knows no disk and no screen."""
