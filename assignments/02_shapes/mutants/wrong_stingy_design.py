"""The view is right and the budget is kept, but never spent: eight kernels are always enough."""

FAILS = ["q6"]


def design(shape, budget, field):
    layers = []
    while not layers or min(receptive_field(layers)) < field:
        layers += [conv(8, (3, 3)), pool((2, 2))]
    return [*layers, flatten(), dense(10)]
