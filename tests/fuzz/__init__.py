"""Hostile bytes for every parser: none may crash, hang, or take memory without bounds."""
