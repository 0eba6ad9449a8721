"""Engines of boxray."""
