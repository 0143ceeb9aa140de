"""Writes a model with random weights that reaches every operator and attribute the reader supports.

    python make.py

Two images a batch; rectangular kernels, strides and images; SAME padding that is even, odd, one-sided and absent; every fused
activation; depth multipliers; convolutions with and without bias, with weights per channel and per tensor; multipliers
above one and below 2^-31. The expected outputs are those of TensorFlow Lite Micro.
"""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from tflite_writer import INT8, INT32, Golden, ModelWriter, save_golden, schema

SEED = 7
BATCH = 2
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


class Maker:
    """Appends layers with random constants; each method returns the name of its output."""

    def __init__(self):
        self.random = np.random.default_rng(SEED)
        self.writer = ModelWriter()
        self.shapes, self.scales, self.zero_points = {}, {}, {}

    def activation(self, name, shape, scale, zero_point):
        self.writer.tensor(name, shape, INT8, [scale], [zero_point])
        self.shapes[name], self.scales[name], self.zero_points[name] = tuple(shape), np.float32(scale), zero_point
        return name

    def constants(self, name, shape, scales, axis, source, bias):
        """Weights and perhaps a bias, which is up to a few hundred products large; their names."""
        weights = self.random.integers(-127, 128, shape).astype(np.int8)
        self.writer.tensor(name + "/weights", shape, INT8, scales, [0] * len(scales), axis, weights)
        if not bias:
            return [name + "/weights", None]
        values = self.random.integers(-(1 << 15), 1 << 15, shape[axis]).astype(np.int32)
        bias_scales = np.float32(self.scales[source]) * np.array(scales, np.float32)
        self.writer.tensor(name + "/bias", values.shape, INT32, bias_scales, [0] * len(scales), 0, values)
        return [name + "/weights", name + "/bias"]

    def window(self, options, name, kernel, stride, same):
        """Fills in padding and stride; the height and width of the output."""
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH, options.strideW = stride
        sizes = self.shapes[name][1:3]
        if same:
            return [-(-size // s) for size, s in zip(sizes, stride)]
        return [(size - k) // s + 1 for size, k, s in zip(sizes, kernel, stride)]

    def conv(self, name, source, out, kernel, stride=(1, 1), same=True, act=NONE, bias=True, scales=None, output=(0.1, 0)):
        options = self.writer.options("CONV_2D")
        options.fusedActivationFunction = act
        size = self.window(options, source, kernel, stride, same)
        shape = (out, *kernel, self.shapes[source][3])
        scales = self.weight_scales(shape[1:], source, out, output[0]) if scales is None else scales
        inputs = [source, *self.constants(name, shape, scales, 0, source, bias)]
        self.activation(name, (BATCH, *size, out), *output)
        self.writer.operator("CONV_2D", inputs, name, options)
        return name

    def depthwise(self, name, source, multiplier, kernel, stride=(1, 1), same=True, act=NONE, output=(0.1, 0)):
        options = self.writer.options("DEPTHWISE_CONV_2D")
        options.fusedActivationFunction, options.depthMultiplier = act, multiplier
        size = self.window(options, source, kernel, stride, same)
        out = self.shapes[source][3] * multiplier
        scales = self.weight_scales(kernel, source, out, output[0])
        inputs = [source, *self.constants(name, (1, *kernel, out), scales, 3, source, True)]
        self.activation(name, (BATCH, *size, out), *output)
        self.writer.operator("DEPTHWISE_CONV_2D", inputs, name, options)
        return name

    def weight_scales(self, reduction, source, out, output_scale):
        """Scales that spread the outputs over the int8 range, different for each channel."""
        spread = 70 * 73 * np.sqrt(np.prod(reduction))
        return output_scale / self.scales[source] * self.random.uniform(20, 80, out) / spread

    def pool(self, name, kind, source, kernel, stride, same, act=NONE):
        options = self.writer.options(kind)
        options.fusedActivationFunction = act
        options.filterHeight, options.filterWidth = kernel
        size = self.window(options, source, kernel, stride, same)
        shape = (BATCH, *size, self.shapes[source][3])
        self.activation(name, shape, self.scales[source], self.zero_points[source])
        self.writer.operator(kind, [source], name, options)
        return name

    def add(self, name, a, b, act, output):
        options = self.writer.options("ADD")
        options.fusedActivationFunction = act
        self.activation(name, self.shapes[a], *output)
        self.writer.operator("ADD", [a, b], name, options)
        return name

    def reshape(self, name, source, shape):
        options = self.writer.options("RESHAPE")
        options.newShape = list(shape)
        # -1: the size that is left over.
        requested = np.array([-1, *shape[1:]], np.int32)
        self.writer.tensor(name + "/shape", requested.shape, INT32, data=requested)
        self.activation(name, shape, self.scales[source], self.zero_points[source])
        self.writer.operator("RESHAPE", [source, name + "/shape"], name, options)
        return name

    def fully_connected(self, name, source, out, act, bias, output):
        options = self.writer.options("FULLY_CONNECTED")
        options.fusedActivationFunction = act
        depth = self.shapes[source][1]
        scales = [self.weight_scales((depth,), source, out, output[0]).mean()]
        inputs = [source, *self.constants(name, (out, depth), scales, 0, source, bias)]
        self.activation(name, (self.shapes[source][0], out), *output)
        self.writer.operator("FULLY_CONNECTED", inputs, name, options)
        return name

    def softmax(self, name, source, beta):
        options = self.writer.options("SOFTMAX")
        options.beta = beta
        self.activation(name, self.shapes[source], 1 / 256, -128)
        self.writer.operator("SOFTMAX", [source], name, options)
        return name


def main():
    make = Maker()
    image = make.activation("image", (BATCH, 22, 19, 3), 0.02, 5)
    # SAME on rows: kernel 4, stride 3 on 22, one above and two below.
    x = make.conv("even kernel", image, 5, (4, 3), (3, 1), act=RELU6, output=(6 / 255, -128))
    x = make.depthwise("depth multiplier", x, 3, (2, 5), (1, 2), act=RELU_N1_TO_1, output=(0.012, 20))
    x = make.depthwise("valid depthwise", x, 1, (2, 2), same=False, output=(0.3, -7))
    x = make.conv("skipping", x, 8, (1, 1), (2, 2), act=RELU, bias=False, output=(0.1, -60))
    # Weights with one common scale.
    y = make.conv("common scale", x, 8, (3, 3), scales=[0.0011], output=(0.25, 31))
    x = make.add("sum", x, y, RELU6, (0.2, -90))
    # Multipliers above one, and below 2^-31 down to those that are zero.
    scales = [3e-4 * 0.5**shift for shift in (-3, 0, 5, 6, 7, 8, 10, 27, 29, 40)]
    y = make.conv("extreme multipliers", x, 10, (2, 2), scales=scales, output=(4e-4, 3))
    y = make.conv("back", y, 8, (1, 2), output=(5.0, -128))
    x = make.add("unequal scales", x, y, RELU_N1_TO_1, (0.01, 0))
    x = make.pool("padded mean", "AVERAGE_POOL_2D", x, (2, 3), (1, 1), same=True, act=RELU)
    x = make.pool("padded maximum", "MAX_POOL_2D", x, (3, 2), (2, 2), same=True)
    x = make.pool("single column", "MAX_POOL_2D", x, (1, 2), (1, 1), same=False, act=RELU6)
    x = make.reshape("flat", x, (BATCH, int(np.prod(make.shapes[x][1:]))))
    x = make.fully_connected("without bias", x, 12, NONE, False, (0.05, 12))
    x = make.fully_connected("with bias", x, 7, RELU6, True, (0.03, -100))
    make.softmax("probabilities", x, 1.5)

    writer = make.writer
    model = writer.finish("operators", "every operator, random weights", ["image"], ["probabilities"])
    (FOLDER / "operators.tflite").write_bytes(model)
    golden = Golden(writer, model)
    shape = make.shapes["image"]
    images = {
        "random": make.random.integers(-128, 128, shape).astype(np.int8),
        "lowest": np.full(shape, -128, np.int8),
        "checkered": np.where(np.indices(shape).sum(axis=0) % 2, 127, -128).astype(np.int8),
    }
    for name, data in images.items():
        arrays = golden.run(data)
        save_golden(FOLDER / f"{name}.tflm.npz", arrays)
        for key, array in arrays.items():
            print(f"{name:10} {key:24} {array.shape!s:18} {array.min():5} .. {array.max():4}, {len(np.unique(array))} values")


if __name__ == "__main__":
    main()
