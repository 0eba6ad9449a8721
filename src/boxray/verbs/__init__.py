"""Verbs of boxray."""
