"""Desks: who runs the model, in this process or in one of its own; pictures, the line of jobs, results."""
