"""Drawn faces: chance -> a `Face` (face) -> flat shapes (shapes, with pen) -> a lit photo (light)."""
