"""Proof that a store is exact: its numbers against open_clip, PCA, scikit-learn and float64."""
