"""From PyTorch through ONNX to TensorFlow, stage by stage."""
