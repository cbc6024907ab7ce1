"""Open a model of any kind and run it: nothing here imports a framework before it is needed."""

from translate.models.base import Array, Dim, Model, Spec
from translate.models.open import open_model

__all__ = ["Array", "Dim", "Model", "Spec", "open_model"]
