"""Writes int8 TensorFlow Lite files with the schema that comes with tflite-micro, and runs them there."""

import flatbuffers
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ADD": "AddOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "RESHAPE": "ReshapeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "SOFTMAX": "SoftmaxOptions",
}
# The first versions of each operator that take int8.
VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "ADD": 2,
    "MAX_POOL_2D": 2,
    "AVERAGE_POOL_2D": 2,
    "RESHAPE": 1,
    "FULLY_CONNECTED": 4,
    "SOFTMAX": 2,
}


class AlignedBuffer(schema.BufferT):
    """A buffer whose bytes start on a multiple of 16, as the schema asks and its generated Python does not do."""

    def Pack(self, builder):
        if self.data is None:
            return super().Pack(builder)
        builder.StartVector(1, len(self.data), 16)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = bytes(self.data)
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class ModelWriter:
    """Collects the tensors and operators of one subgraph; tensors are known by name."""

    def __init__(self):
        self.buffers = [AlignedBuffer()]  # By convention the first one is empty.
        self.tensors, self.operators, self.codes = [], [], []
        self.ids = {}
        self.layers = []  # (kind, output name) of each operator.

    def tensor(self, name, shape, kind, scales=None, zero_points=None, axis=0, data=None):
        """Adds a tensor, a constant if it has data; its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [int(zero_point) for zero_point in zero_points]
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = AlignedBuffer()
            buffer.data = data.astype(data.dtype.newbyteorder("<")).tobytes()
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.ids[name] = len(self.tensors)
        self.tensors.append(tensor)
        return self.ids[name]

    def options(self, kind):
        """The empty options of an operator; `operator` takes them filled."""
        return getattr(schema, OPTIONS[kind] + "T")()

    def operator(self, kind, inputs, output, options):
        """Adds an operator by the names of its tensors; an input of None is left out."""
        if kind not in self.codes:
            self.codes.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(kind)
        operator.inputs = [-1 if name is None else self.ids[name] for name in inputs]
        operator.outputs = [self.ids[output]]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[kind])
        operator.builtinOptions = options
        self.operators.append(operator)
        self.layers.append((kind, output))

    def finish(self, name, description, inputs, outputs):
        """The bytes of the file."""
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = name, self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [self.ids[i] for i in inputs], [self.ids[o] for o in outputs]
        model = schema.ModelT()
        model.version, model.description = 3, description
        model.subgraphs, model.buffers, model.operatorCodes = [subgraph], self.buffers, []
        for kind in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
            code.version = VERSIONS[kind]
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


class Golden:
    """A written model in TensorFlow Lite Micro, with every layer's output kept."""

    def __init__(self, writer, model):
        config = runtime.InterpreterConfig.kPreserveAllTensors
        self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 20, intrepreter_config=config)
        self.writer = writer

    def run(self, data):
        """Input, output and each layer's output by the names that the tests expect: `op03_ADD`."""
        self.interpreter.set_input(data, 0)
        self.interpreter.invoke()
        arrays = {"input": data, "output": self.interpreter.get_output(0).copy()}
        for index, (kind, output) in enumerate(self.writer.layers):
            arrays[f"op{index:02d}_{kind}"] = self.tensor(self.writer.ids[output])
        return arrays

    def tensor(self, index):
        """What a tensor holds after a run."""
        return self.interpreter.GetTensor(index, 0)["tensor_data"].copy()


def save_golden(path, arrays):
    """Writes the arrays of `Golden.run`, compressed."""
    np.savez_compressed(path, **arrays)
