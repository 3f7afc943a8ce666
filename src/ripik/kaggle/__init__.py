"""The official `kaggle` command: downloads, datasets, kernels, submissions. It is run, never imported."""
