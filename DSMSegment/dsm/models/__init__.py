"""Configuration, weights and the model store."""
