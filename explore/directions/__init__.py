"""Directions in the space of z along which one attribute of a face changes."""
