"""The wire contract as Python: generated from proto/holdfast/v1 by `make proto`, never edited by hand."""
