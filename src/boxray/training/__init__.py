"""Training: one plain loop, and around it the data, the schedule, checkpoints, the run folder."""

from boxray.training.loop import TrainResult, resume, train
from boxray.training.settings import TrainSettings

__all__ = ["TrainResult", "TrainSettings", "resume", "train"]
