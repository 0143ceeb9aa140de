"""Runs models in TensorFlow Lite Micro for a test: requests on standard input, answers on standard output.

All numbers are 32-bit, little-endian and unsigned; `bytes` is a length and that many bytes.

    request: bytes model, count, count * (bytes input), count, count * (number tensor)
    answer:  0, count * (bytes elements of the tensor)
         or  1, bytes message

Inputs are in the model's order, in the model's types. The answer has a tensor's elements for each one asked for. The program
ends at the end of its input.
"""

import struct
import sys

import numpy as np
from tflite_micro.python.tflite_micro import runtime

ARENA_BYTES = 8 << 20


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def read_number(stream):
    return struct.unpack("<I", read_exactly(stream, 4))[0]


def read_bytes(stream):
    return read_exactly(stream, read_number(stream))


def as_bytes(data):
    return struct.pack("<I", len(data)) + data


def run(model, inputs, tensors):
    """The bytes of the given tensors after a run."""
    interpreter = runtime.Interpreter.from_bytes(
        model,
        arena_size=ARENA_BYTES,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    for index, data in enumerate(inputs):
        details = interpreter.get_input_details(index)
        array = np.frombuffer(data, dtype=np.dtype(details["dtype"])).reshape(details["shape"])
        interpreter.set_input(array, index)
    interpreter.invoke()
    return [np.ascontiguousarray(interpreter.GetTensor(tensor, 0)["tensor_data"]).tobytes() for tensor in tensors]


def main():
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            model = read_bytes(requests)
            inputs = [read_bytes(requests) for _ in range(read_number(requests))]
            tensors = [read_number(requests) for _ in range(read_number(requests))]
        except EOFError:
            return
        try:
            results = run(model, inputs, tensors)
            answer = struct.pack("<I", 0) + b"".join(as_bytes(result) for result in results)
        except (RuntimeError, ValueError) as error:
            answer = struct.pack("<I", 1) + as_bytes(str(error).encode())
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    main()
