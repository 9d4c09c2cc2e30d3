"""The model that runs when nobody chooses: physics with a small residual network, on any CPU."""
