"""The figures and tables of Xia et al. 2022 (CoFi): a figure shows all tasks of a model, a panel each."""
