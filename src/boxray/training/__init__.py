"""Training: one plain loop, and around it the data, the schedule, checkpoints, the run folder."""

from boxray.training.listeners import Listener
from boxray.training.loop import TrainResult
from boxray.training.settings import TrainSettings
from boxray.training.starting import resume, train

__all__ = ["Listener", "TrainResult", "TrainSettings", "resume", "train"]
