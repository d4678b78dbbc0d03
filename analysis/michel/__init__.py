"""The figures and tables of Michel et al. 2019, one module each, on BERT and on translation."""
