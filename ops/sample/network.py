"""A small residual network in numpy: layers that run forwards and backwards, and Adam.

Activations are [N, H, W, C] float32; a convolution is im2col and one matrix product. Each layer
keeps what its backward pass needs from the last training forward pass.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Conv:
    """kernel × kernel, padded so that stride 1 keeps the size, no bias (a batch norm follows)."""

    def __init__(self, name, inputs, outputs, kernel, stride, rng):
        self.name, self.kernel, self.stride, self.inputs = name, kernel, stride, inputs
        fan_in = inputs * kernel * kernel
        self.weight = rng.normal(0, np.sqrt(2 / fan_in), (fan_in, outputs)).astype(np.float32)

    trained = ("weight",)

    def forward(self, x, training):
        n, h, w, c = x.shape
        k, s, pad = self.kernel, self.stride, self.kernel // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = sliding_window_view(padded, (k, k), (1, 2))[:, ::s, ::s]  # [N, H', W', C, k, k]
        rows, columns = windows.shape[1:3]
        unrolled = np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3)).reshape(-1, k * k * c)
        if training:
            self.unrolled, self.padded_shape, self.grid = unrolled, padded.shape, (rows, columns)
        return (unrolled @ self.weight).reshape(n, rows, columns, -1)

    def backward(self, grad):
        k, s, pad = self.kernel, self.stride, self.kernel // 2
        flat = grad.reshape(-1, grad.shape[-1])
        self.weight_grad = self.unrolled.T @ flat
        rows, columns = self.grid
        patches = (flat @ self.weight.T).reshape(-1, rows, columns, k, k, self.inputs)
        back = np.zeros(self.padded_shape, np.float32)
        for i in range(k):
            for j in range(k):
                back[:, i : i + rows * s : s, j : j + columns * s : s] += patches[:, :, :, i, j]
        return back[:, pad : back.shape[1] - pad, pad : back.shape[2] - pad]

    def oihw(self):
        """The weight as every model format wants it: [out, in, kernel, kernel]."""
        k = self.kernel
        return np.ascontiguousarray(
            self.weight.reshape(k, k, self.inputs, -1).transpose(3, 2, 0, 1)
        )


class BatchNorm:
    EPSILON, MOMENTUM = 1e-5, 0.9

    def __init__(self, name, channels):
        self.name = name
        self.gamma, self.beta = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        self.mean, self.variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    trained = ("gamma", "beta")

    def forward(self, x, training):
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.mean = self.MOMENTUM * self.mean + (1 - self.MOMENTUM) * mean
            self.variance = self.MOMENTUM * self.variance + (1 - self.MOMENTUM) * variance
        scale = 1 / np.sqrt(variance + np.float32(self.EPSILON))
        normal = (x - mean) * scale
        if training:
            self.normal, self.scale = normal, scale
        return normal * self.gamma + self.beta

    def backward(self, grad):
        self.gamma_grad = (grad * self.normal).sum((0, 1, 2))
        self.beta_grad = grad.sum((0, 1, 2))
        count = np.float32(grad.size // grad.shape[-1])
        inner = grad - (self.beta_grad + self.normal * self.gamma_grad) / count
        return inner * (self.gamma * self.scale)


class Relu:
    trained = ()

    def __init__(self, name):
        self.name = name

    def forward(self, x, training):
        if training:
            self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, grad):
        return grad * self.positive


class MaxPool:
    """2 × 2, stride 2."""

    trained = ()

    def __init__(self, name):
        self.name = name

    def forward(self, x, training):
        n, h, w, c = x.shape
        tiles = x.reshape(n, h // 2, 2, w // 2, 2, c)
        best = tiles.max((2, 4))
        if training:
            self.winners = tiles == best[:, :, None, :, None]
        return best

    def backward(self, grad):
        spread = self.winners * grad[:, :, None, :, None]
        n, h, _, w, _, c = spread.shape
        return spread.reshape(n, h * 2, w * 2, c)


class Residual:
    """relu(main(x) + skip(x)); a skip without layers is the identity."""

    def __init__(self, name, main, skip):
        self.name, self.main, self.skip, self.relu = name, main, skip, Relu(name + "_relu")

    def forward(self, x, training):
        return self.relu.forward(
            forward(self.main, x, training) + forward(self.skip, x, training), training
        )

    def backward(self, grad):
        grad = self.relu.backward(grad)
        return backward(self.main, grad) + backward(self.skip, grad)


class GlobalAveragePool:
    trained = ()

    def __init__(self, name):
        self.name = name

    def forward(self, x, training):
        self.shape = x.shape
        return x.mean((1, 2))

    def backward(self, grad):
        n, h, w, c = self.shape
        return np.broadcast_to(grad[:, None, None] / np.float32(h * w), self.shape)


class Dense:
    def __init__(self, name, inputs, outputs, rng):
        self.name = name
        self.weight = rng.normal(0, np.sqrt(1 / inputs), (inputs, outputs)).astype(np.float32)
        self.bias = np.zeros(outputs, np.float32)

    trained = ("weight", "bias")

    def forward(self, x, training):
        if training:
            self.x = x
        return x @ self.weight + self.bias

    def backward(self, grad):
        self.weight_grad, self.bias_grad = self.x.T @ grad, grad.sum(0)
        return grad @ self.weight.T


def forward(layers, x, training=False):
    for layer in layers:
        x = layer.forward(x, training)
    return x


def backward(layers, grad):
    for layer in reversed(layers):
        grad = layer.backward(grad)
    return grad


def parameters(layers):
    """(layer, attribute) of everything that training changes."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from parameters(layer.main + layer.skip)
        else:
            for attribute in layer.trained:
                yield layer, attribute


def residual_unit(name, inputs, outputs, stride, rng):
    main = [
        Conv(f"{name}_conv1", inputs, outputs, 3, stride, rng),
        BatchNorm(f"{name}_bn1", outputs),
        Relu(f"{name}_relu1"),
        Conv(f"{name}_conv2", outputs, outputs, 3, 1, rng),
        BatchNorm(f"{name}_bn2", outputs),
    ]
    skip = []
    if stride != 1 or inputs != outputs:
        skip = [
            Conv(f"{name}_sc", inputs, outputs, 1, stride, rng),
            BatchNorm(f"{name}_sc_bn", outputs),
        ]
    return Residual(name, main, skip)


def sample_network(classes, rng):
    """[N, 64, 64, 3] → [N, classes] logits: 73,000 parameters, 9 million multiply-adds."""
    return [
        Conv("conv0", 3, 16, 3, 1, rng),
        BatchNorm("bn0", 16),
        Relu("relu0"),
        MaxPool("pool0"),
        residual_unit("unit1", 16, 32, 2, rng),
        residual_unit("unit2", 32, 64, 2, rng),
        GlobalAveragePool("pool1"),
        Dense("fc", 64, classes, rng),
    ]


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Adam:
    def __init__(self, layers, decay):
        self.items = [[layer, attribute, 0.0, 0.0] for layer, attribute in parameters(layers)]
        self.step_count, self.decay = 0, decay

    def step(self, rate):
        self.step_count += 1
        warm1, warm2 = 1 - 0.9**self.step_count, 1 - 0.999**self.step_count
        for item in self.items:
            layer, attribute, first, second = item
            value, grad = getattr(layer, attribute), getattr(layer, attribute + "_grad")
            item[2] = first = 0.9 * first + 0.1 * grad
            item[3] = second = 0.999 * second + 0.001 * grad * grad
            change = rate * (first / warm1) / (np.sqrt(second / warm2) + 1e-8)
            if attribute == "weight":
                change = change + rate * self.decay * value
            setattr(layer, attribute, (value - change).astype(np.float32))
