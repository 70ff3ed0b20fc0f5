"""How fast the model's code is beside a plain implementation of the published network."""
