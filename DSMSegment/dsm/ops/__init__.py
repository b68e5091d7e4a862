"""Pure tensor functions, each optimised one beside its readable reference."""
