"""Coders: inverse pairs between boxes and what a network says."""
