"""Networks: pixels in, raw arrays out, the same in training and in use."""
