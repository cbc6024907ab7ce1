"""The metadata that the exporter leaves in an ONNX graph for the stages after it."""

# On an initializer: "parameter" or "buffer", as it was in the PyTorch module.
KIND = "translate.kind"
# On an output: its name in the source, which ONNX cannot call it by if an input is called the same.
NAME = "translate.name"
# On the model: whether it returns one tensor ("single"), a "tuple" or a "dict".
STRUCTURE = "translate.structure"
