"""The paper's network trained on one GPU: pictures, draws, passes and optimisers stay there."""
