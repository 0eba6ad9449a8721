"""Metrics: one matcher, one precision-recall curve, and per protocol the arguments for both.

A metric is a `MatchPolicy` (who may claim which truth) and an average over the curves that follow
(`coco.measure`, `voc.measure`). `uncertainty` asks the same functions for resampled images.
"""
