"""Immutable values and their byte formats: ids, chunks, packs, manifests and pointers. No module here does I/O."""
