"""Pure tensor functions, each fast one beside its readable reference."""
