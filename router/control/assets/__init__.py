"""Copies of models and code, named after their content, and the register of models and environments."""
