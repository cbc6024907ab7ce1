"""The zoo of `tf2torch`: TensorFlow models, each translated in a process of its own, and their scoreboard."""
