"""ONNX's standard backend interface, one module for each framework."""
