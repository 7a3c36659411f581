"""Engines: who computes the segments of a set of images."""
