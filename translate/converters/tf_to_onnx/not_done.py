"""TensorFlow's operators without a lowering to ONNX, as far as there is more to say than that, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

_REASONS = {
    "it changes a variable while the model runs, and an output depends on it": (
        "AssignVariableOp AssignAddVariableOp AssignSubVariableOp Assign AssignAdd AssignSub ResourceScatterUpdate "
        "ResourceScatterAdd ScatterUpdate ScatterAdd"
    ),
    "ONNX has no such function of numbers": "Polygamma Betainc Dawsn Expint FresnelCos FresnelSin Spence",
    "its matrices are not unique: each library has signs or an order of its own": "Qr Lu Eig",
    "its numbers follow from a seed by TensorFlow's own generator": (
        "StatelessRandomUniform StatelessRandomUniformV2 StatelessRandomNormal StatelessRandomNormalV2 "
        "StatelessRandomUniformIntV2 StatelessTruncatedNormal StatelessTruncatedNormalV2 StatelessMultinomial "
        "StatelessRandomGetKeyCounter StatelessRandomGetAlg StatelessRandomGetKeyCounterAlg TruncatedNormal "
        "RandomShuffle"
    ),
    "it works on text, outside the model would be the place for it": (
        "StringSplit StringSplitV2 StaticRegexReplace RegexReplace StringLower StringUpper StringToNumber AsString "
        "StringToHashBucketFast StringToHashBucketStrong StringJoin ReduceJoin Substr DecodeRaw ParseExample "
        "ParseExampleV2 ParseSingleExample UnicodeDecodeWithOffsets UnicodeTranscode StringFormat"
    ),
    "it decodes files, outside the model would be the place for it": (
        "DecodeJpeg DecodePng DecodeImage DecodeBmp DecodeGif DecodeWav DecodeBase64 EncodeJpeg EncodePng ReadFile"
    ),
    "it looks up in a table that is no tensor": (
        "HashTable HashTableV2 LookupTableFindV2 LookupTableFind LookupTableSizeV2 MutableHashTableV2 "
        "LookupTableExportV2 LookupTableImportV2 LookupTableInsertV2"
    ),
    "it runs Python code": "PyFunc EagerPyFunc PyFuncStateless",
    "its loop is one of TensorFlow 1's, which has no body of its own": "Enter RefEnter Exit NextIteration LoopCond",
    "its branch is one of TensorFlow 1's, where both sides are in one graph": "Switch RefSwitch Merge RefMerge",
    "the graph is not frozen: it reads a variable that is stored elsewhere": "VarHandleOp Variable VariableV2",
    "ONNX has no such list": (
        "TensorListPushBack TensorListPopBack TensorListResize TensorListConcat TensorListConcatV2 TensorListSplit "
        "TensorListElementShape TensorListPushBackBatch TensorListConcatLists"
    ),
    "it is an optimisation of one device": "CudnnRNN CudnnRNNV2 CudnnRNNV3",
    "it computes with TensorFlow 1's quantised numbers; the float model, or its .tflite, can be translated": (
        "QuantizeV2 Dequantize Requantize RequantizationRange QuantizedConv2D QuantizedMatMul QuantizedRelu "
        "QuantizedBiasAdd QuantizedMaxPool QuantizedAvgPool QuantizedAdd QuantizedMul QuantizedConcat QuantizedReshape"
    ),
    "it draws random numbers": (
        "RandomGamma RandomPoissonV2 StatefulUniform StatefulUniformInt StatefulStandardNormalV2 "
        "StatefulTruncatedNormal StatelessRandomGammaV3 StatelessRandomPoisson StatelessShuffle "
        "SampleDistortedBoundingBoxV2 FractionalMaxPool FractionalAvgPool ParameterizedTruncatedNormal"
    ),
    "it serves training only": (
        "CTCLoss CTCLossV2 AllCandidateSampler LogUniformCandidateSampler FixedUnigramCandidateSampler "
        "ComputeAccidentalHits Conv2DBackpropFilter Conv3DBackpropFilterV2 DepthwiseConv2dNativeBackpropFilter"
    ),
    "it searches among many sequences, step by step": "CTCBeamSearchDecoder",
    "its tensors have rows of different lengths": (
        "RaggedTensorToTensor RaggedTensorToSparse RaggedTensorToVariant RaggedTensorFromVariant RaggedGather "
        "RaggedRange RaggedBincount RaggedCross"
    ),
    "its result is sparse, of as many values as the data says": (
        "SparseFillEmptyRows SparseReshape SparseConcat SparseSlice SparseSplit SparseAdd SparseCross SparseCrossV2 "
        "SparseBincount SparseCountSparseOutput DenseCountSparseOutput DenseToDenseSetOperation EditDistance"
    ),
    "it suppresses boxes by overlaps that are given, one after the other": "NonMaxSuppressionWithOverlaps",
}


def not_done() -> Iterator[tuple[str, str]]:
    """List the operators, each with its reason."""
    for reason, names in _REASONS.items():
        yield from ((name, reason) for name in names.split())
