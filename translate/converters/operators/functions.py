"""Functions that ONNX has not, as operators of a private domain: TensorFlow's graphs hold them, and PyTorch has them.

They have TensorFlow's names and inputs. Matrices are in the last two axes.

- One number each: Lgamma, Digamma, Erfinv, Ndtri, and Bessel functions: BesselI0, BesselI0e, BesselI1, BesselI1e,
  BesselJ0, BesselJ1, BesselK0, BesselK0e, BesselK1, BesselK1e, BesselY0, BesselY1.
- Two numbers: Igamma(a, x), Igammac(a, x), Zeta(x, q), NextAfter(x, y).
- Cholesky(x), MatrixInverse(x), MatrixSolve(x, y), MatrixTriangularSolve(x, y; lower, adjoint),
  EigenvaluesOfSymmetric(x), SingularValues(x), LogMatrixDeterminant(x) → sign, logarithm.
- Bitcast(x; to): the same bits as another dtype of the same width.
"""

from __future__ import annotations

FUNCTIONS = "translate.functions"
