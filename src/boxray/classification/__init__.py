"""What a picture, or a piece of one, shows: classifiers, ImageNet's classes, and other people's."""
