"""One job, a (variant, fold): trained, predicted, merged into the variant's CSVs."""
