"""The figures and tables of Kwon et al. 2022: a figure shows all tasks of a model, a panel each."""
