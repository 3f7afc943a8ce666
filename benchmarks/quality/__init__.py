"""What is true: near copies, folds, blends, ranges, seeds."""
