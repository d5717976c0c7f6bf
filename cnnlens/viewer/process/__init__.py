"""The process that runs the model: both ends of the wire, what crosses it, and who starts it again."""
