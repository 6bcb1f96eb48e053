"""What is trained, and by what it is judged: networks, losses, one training step. Knows no disk and no screen."""
