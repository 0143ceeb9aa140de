"""Trains a small residual CNN on scikit-learn's handwritten digits and writes it as an int8 TensorFlow Lite model.

    python train.py            # about half a minute; writes the files of this folder

The network is plain numpy, forward and backward; quantisation is post-training: weights symmetric (per output channel in
convolutions, per tensor in the fully connected layer), activations asymmetric per tensor, bias int32. The expected outputs
of every layer, and the accuracy that is printed, are what TensorFlow Lite Micro computes from the written file.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # Before numpy: the order of sums must not depend on the number of cores.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from tflite_writer import INT8, INT32, Golden, ModelWriter, save_golden, schema

SEED = 20
EPOCHS = 40
BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
TEST_IMAGES = 360
SAMPLE_IMAGES = 20
SIZE = 16
CLASSES = 10


@dataclass(frozen=True)
class Layer:
    """One operator: its kind, the names of what it reads, and its attributes."""

    name: str
    kind: str
    sources: tuple
    channels: tuple = ()  # (in, out)
    kernel: int = 1
    stride: int = 1
    same: bool = True
    relu: bool = False


LAYERS = [
    Layer("stem", "CONV_2D", ("image",), (1, 16), kernel=3, relu=True),
    Layer("block/conv1", "CONV_2D", ("stem",), (16, 16), kernel=3, relu=True),
    Layer("block/conv2", "CONV_2D", ("block/conv1",), (16, 16), kernel=3),
    Layer("block/add", "ADD", ("stem", "block/conv2"), relu=True),
    Layer("pool", "MAX_POOL_2D", ("block/add",), kernel=2, stride=2, same=False),
    Layer("down", "CONV_2D", ("pool",), (16, 32), kernel=3, stride=2, relu=True),
    Layer("wide", "CONV_2D", ("down",), (32, 32), kernel=3, same=False, relu=True),
    Layer("mean", "AVERAGE_POOL_2D", ("wide",), kernel=2, stride=2, same=False),
    Layer("flat", "RESHAPE", ("mean",)),
    Layer("scores", "FULLY_CONNECTED", ("flat",), (32, CLASSES)),
    Layer("probabilities", "SOFTMAX", ("scores",)),
]


# --- data ---------------------------------------------------------------------------------------------------------------


def digits():
    """Images [n, 16, 16, 1] in 0..1, each pixel of the 8x8 original repeated twice both ways, and their labels."""
    data = load_digits()
    images = data.images.repeat(2, axis=1).repeat(2, axis=2)[..., np.newaxis] / 16.0
    return train_test_split(
        images.astype(np.float32),
        data.target.astype(np.int32),
        test_size=TEST_IMAGES,
        stratify=data.target,
        random_state=SEED,
    )


def shifted(images, random):
    """Each image moved by up to two pixels either way."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    result = np.empty_like(images)
    for index, (y, x) in enumerate(random.integers(0, 5, (len(images), 2))):
        result[index] = padded[index, y : y + SIZE, x : x + SIZE]
    return result


# --- the float network --------------------------------------------------------------------------------------------------


def padding(layer, size):
    """Rows before and after an image of `size`, as TensorFlow Lite places them."""
    if not layer.same:
        return 0, 0
    outputs = -(-size // layer.stride)
    total = max((outputs - 1) * layer.stride + layer.kernel - size, 0)
    return total // 2, total - total // 2


def patches(layer, x):
    """What each output position reads: [n, height, width, kernel, kernel, channels]."""
    view = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(1, 2))
    return view[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)


def initial_weights(random):
    weights = {}
    for layer in LAYERS:
        if layer.channels:
            inputs, outputs = layer.channels
            shape = (outputs, inputs)
            if layer.kind == "CONV_2D":
                shape = (outputs, layer.kernel, layer.kernel, inputs)
            fan_in = np.prod(shape[1:])
            weights[layer.name] = random.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
            weights[layer.name + "/bias"] = np.zeros(outputs, np.float32)
    return weights


def forward(weights, images):
    """Every activation by name, and what the backward pass needs of each layer."""
    values, kept = {"image": images}, {}
    for layer in LAYERS:
        x = values[layer.sources[0]]
        if layer.kind == "CONV_2D":
            pad = padding(layer, x.shape[1])
            padded = np.pad(x, ((0, 0), pad, pad, (0, 0)))
            columns = np.ascontiguousarray(patches(layer, padded))
            shape = columns.shape[:3]
            columns = columns.reshape(np.prod(shape), -1)
            kernel = weights[layer.name].reshape(layer.channels[1], -1)
            y = (columns @ kernel.T + weights[layer.name + "/bias"]).reshape(*shape, -1)
            kept[layer.name] = (columns, padded.shape, pad)
        elif layer.kind == "ADD":
            y = x + values[layer.sources[1]]
        elif layer.kind == "MAX_POOL_2D":
            windows = patches(layer, x)
            y = windows.max(axis=(3, 4))
            kept[layer.name] = windows == y[:, :, :, np.newaxis, np.newaxis, :]
        elif layer.kind == "AVERAGE_POOL_2D":
            y = x.mean(axis=(1, 2), keepdims=True)
        elif layer.kind == "RESHAPE":
            y = x.reshape(len(x), -1)
        elif layer.kind == "FULLY_CONNECTED":
            y = x @ weights[layer.name].T + weights[layer.name + "/bias"]
        elif layer.kind == "SOFTMAX":
            e = np.exp(x - x.max(axis=1, keepdims=True))
            y = e / e.sum(axis=1, keepdims=True)
        values[layer.name] = np.maximum(y, 0) if layer.relu else y
    return values, kept


def backward(weights, values, kept, labels):
    """The gradients of the mean cross entropy."""
    gradients = {}
    deltas = {name: np.zeros_like(value) for name, value in values.items()}
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    # Softmax and cross entropy in one step.
    deltas["scores"] = (values["probabilities"] - one_hot) / len(labels)
    for layer in reversed(LAYERS[:-1]):
        delta = deltas[layer.name]
        if layer.relu:
            delta = delta * (values[layer.name] > 0)
        source = layer.sources[0]
        x = values[source]
        if layer.kind == "CONV_2D":
            columns, padded_shape, (before, after) = kept[layer.name]
            kernel = weights[layer.name]
            flat = delta.reshape(-1, layer.channels[1])
            gradients[layer.name] = (flat.T @ columns).reshape(kernel.shape)
            gradients[layer.name + "/bias"] = flat.sum(axis=0)
            taps = (flat @ kernel.reshape(len(kernel), -1)).reshape(*delta.shape[:3], *kernel.shape[1:])
            image = np.zeros(padded_shape, np.float32)
            height, width = (size * layer.stride for size in delta.shape[1:3])
            for ky in range(layer.kernel):
                for kx in range(layer.kernel):
                    target = image[:, ky : ky + height : layer.stride, kx : kx + width : layer.stride]
                    target += taps[:, : target.shape[1], : target.shape[2], ky, kx]
            deltas[source] += image[:, before : image.shape[1] - after, before : image.shape[2] - after]
        elif layer.kind == "ADD":
            for name in layer.sources:
                deltas[name] += delta
        elif layer.kind == "MAX_POOL_2D":
            # Ties share the gradient, so that the background does not train one corner.
            hits = kept[layer.name]
            share = (delta / hits.sum(axis=(3, 4)))[:, :, :, np.newaxis, np.newaxis, :] * hits
            deltas[source] += share.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape)
        elif layer.kind == "AVERAGE_POOL_2D":
            deltas[source] += delta / (x.shape[1] * x.shape[2])
        elif layer.kind == "RESHAPE":
            deltas[source] += delta.reshape(x.shape)
        elif layer.kind == "FULLY_CONNECTED":
            gradients[layer.name] = delta.T @ x
            gradients[layer.name + "/bias"] = delta.sum(axis=0)
            deltas[source] += delta @ weights[layer.name]
    return gradients


def train(images, labels):
    """Adam with a cosine schedule and decoupled weight decay."""
    random = np.random.default_rng(SEED)
    weights = initial_weights(random)
    mean = {name: np.zeros_like(w) for name, w in weights.items()}
    square = {name: np.zeros_like(w) for name, w in weights.items()}
    step, steps = 0, EPOCHS * -(-len(images) // BATCH)
    for epoch in range(EPOCHS):
        losses = []
        order = random.permutation(len(images))
        for start in range(0, len(images), BATCH):
            batch = order[start : start + BATCH]
            values, kept = forward(weights, shifted(images[batch], random))
            losses.append(-np.log(values["probabilities"][range(len(batch)), labels[batch]] + 1e-9).mean())
            gradients = backward(weights, values, kept, labels[batch])
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            for name, gradient in gradients.items():
                mean[name] = 0.9 * mean[name] + 0.1 * gradient
                square[name] = 0.999 * square[name] + 0.001 * gradient**2
                update = (mean[name] / (1 - 0.9**step)) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
                weights[name] = weights[name] - np.float32(rate) * (update + WEIGHT_DECAY * weights[name])
        print(f"epoch {epoch + 1:2d}  loss {np.mean(losses):.4f}", flush=True)
    return {name: w.astype(np.float32) for name, w in weights.items()}


# --- quantisation -------------------------------------------------------------------------------------------------------


def activation_parameters(weights, images):
    """Scale and zero point of every activation, from its range over the calibration images."""
    values, _ = forward(weights, images)
    parameters = {"image": (np.float32(1 / 255), -128)}
    for layer in LAYERS:
        if layer.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE"):
            parameters[layer.name] = parameters[layer.sources[0]]
        elif layer.kind == "SOFTMAX":
            parameters[layer.name] = (np.float32(1 / 256), -128)
        else:
            low = min(float(values[layer.name].min()), 0.0)
            high = float(values[layer.name].max())
            scale = np.float32((high - low) / 255)
            parameters[layer.name] = (scale, int(np.clip(round(-128 - low / float(scale)), -128, 127)))
    return parameters


def quantised_weights(layer, weights, parameters):
    """int8 weights, their scales, int32 bias and its scales."""
    w = weights[layer.name]
    axes = tuple(range(1, w.ndim)) if layer.kind == "CONV_2D" else None
    scales = (np.abs(w).max(axis=axes) / 127).astype(np.float32).reshape(-1)
    divisor = scales.reshape((-1,) + (1,) * (w.ndim - 1)) if len(scales) > 1 else scales[0]
    q = np.clip(np.round(w / divisor), -127, 127).astype(np.int8)
    bias_scales = (parameters[layer.sources[0]][0] * scales).astype(np.float32)
    bias = np.round(weights[layer.name + "/bias"].astype(np.float64) / bias_scales).astype(np.int32)
    return q, scales, bias, bias_scales


# --- the TensorFlow Lite file -------------------------------------------------------------------------------------------


def tensorflow_lite(weights, parameters, shapes):
    """The writer, and the bytes of the model file."""
    writer = ModelWriter()

    def activation(name):
        scale, zero_point = parameters[name]
        writer.tensor(name, shapes[name], INT8, [scale], [zero_point])

    activation("image")
    for layer in LAYERS:
        inputs = list(layer.sources)
        if layer.channels:
            w, scales, bias, bias_scales = quantised_weights(layer, weights, parameters)
            zeros = [0] * len(scales)
            inputs += [layer.name + "/weights", layer.name + "/bias"]
            writer.tensor(inputs[-2], w.shape, INT8, scales, zeros, data=w)
            writer.tensor(inputs[-1], bias.shape, INT32, bias_scales, zeros, data=bias)
        if layer.kind == "RESHAPE":
            shape = np.array(shapes[layer.name], np.int32)
            inputs.append(layer.name + "/shape")
            writer.tensor(inputs[-1], shape.shape, INT32, data=shape)
        activation(layer.name)
        options = writer.options(layer.kind)
        if layer.kind in ("CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"):
            options.padding = schema.Padding.SAME if layer.same else schema.Padding.VALID
            options.strideH = options.strideW = layer.stride
        if layer.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            options.filterHeight = options.filterWidth = layer.kernel
        if layer.kind == "SOFTMAX":
            options.beta = 1.0
        if layer.kind == "RESHAPE":
            options.newShape = list(shapes[layer.name])
        if layer.relu:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        writer.operator(layer.kind, inputs, layer.name, options)
    return writer, writer.finish("digits", "handwritten digits, int8", ["image"], [LAYERS[-1].name])


def main():
    train_images, test_images, train_labels, test_labels = digits()
    weights = train(train_images, train_labels)
    predicted = forward(weights, test_images)[0]["probabilities"].argmax(axis=1)
    print(f"float: {(predicted == test_labels).sum()} of {len(test_labels)} test images")

    parameters = activation_parameters(weights, train_images)
    shapes = {name: value.shape for name, value in forward(weights, test_images[:1])[0].items()}
    writer, model = tensorflow_lite(weights, parameters, shapes)
    (FOLDER / "digits.tflite").write_bytes(model)

    # 0..1 at scale 1/255 and zero point -128.
    quantised = (np.round(test_images * 255) - 128).astype(np.int8)
    golden = Golden(writer, model)
    right = sum(golden.run(image[np.newaxis])["output"].argmax() == label for image, label in zip(quantised, test_labels))
    print(f"int8:  {right} of {len(test_labels)} test images, in TensorFlow Lite Micro; {len(model)} bytes")

    np.save(FOLDER / "images.npy", quantised[:SAMPLE_IMAGES])
    np.save(FOLDER / "labels.npy", test_labels[:SAMPLE_IMAGES])
    noise = np.random.default_rng(SEED).integers(-128, 128, quantised[0].shape).astype(np.int8)
    for name, image in [("digit", quantised[0]), ("random", noise)]:
        save_golden(FOLDER / f"{name}.tflm.npz", golden.run(image[np.newaxis]))


if __name__ == "__main__":
    main()
