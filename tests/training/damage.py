"""What a disk may do to a file."""


def flipped(content, place=0.5):
    """The bytes with one bit flipped, at this share of them."""
    changed = bytearray(content)
    changed[int(place * len(changed))] ^= 1
    return bytes(changed)


def flip_a_bit(path, place=0.5):
    path.write_bytes(flipped(path.read_bytes(), place))
