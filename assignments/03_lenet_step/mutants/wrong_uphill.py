"""The step goes along the gradient, to where the loss grows."""

FAILS = ["q4"]


def sgd_step(weights, images, labels, learning_rate):
    slope = gradients(weights, images, labels)
    return {name: array + learning_rate * slope[name] for name, array in weights.items()}
