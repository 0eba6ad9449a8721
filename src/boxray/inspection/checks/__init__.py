"""What the doctor checks. One check is one small function from an examination to findings."""
