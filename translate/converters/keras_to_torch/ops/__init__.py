"""The operations of `keras.ops` that functional models, and the `call`s of custom layers, record.

A row computes in the dtypes that PyTorch promotes to; the walk brings each result to the dtype that Keras says the
operation has. So a row casts only where the computation itself needs it: the mean of ints, the product of two dtypes.
"""
