"""Adam's means are not corrected, so that its first step is three times too long."""

FAILS = ["q5"]


def training_step(weights, m, v, t, images, labels, learning_rate):
    slope = gradients(weights, images, labels)
    m = {name: 0.9 * m[name] + 0.1 * slope[name] for name in weights}
    v = {name: 0.999 * v[name] + 0.001 * slope[name] ** 2 for name in weights}
    return {name: weights[name] - learning_rate * m[name] / (tf.sqrt(v[name]) + 1e-7)
            for name in weights}, m, v
