"""The verbs of `boxray data`: annotated data looked at, checked and converted; never changed."""
