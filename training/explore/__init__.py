"""What is done with a finished generator. A command of `training` stands before each module."""
