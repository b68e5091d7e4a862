"""Inference: volume and prompts to masks on the input grid."""
