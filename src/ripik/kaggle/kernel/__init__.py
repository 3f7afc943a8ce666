"""Kaggle kernels: what is pushed, the datasets it needs, and what it does on Kaggle's machine."""
