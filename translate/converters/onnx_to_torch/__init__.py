"""ONNX → PyTorch: the table of lowerings, and the module and ExportedProgram that it makes."""

from translate.converters.onnx_to_torch.export import exported, module, preflight, save

__all__ = ["exported", "module", "preflight", "save"]
