"""Dilation is overlooked, in the shapes and in the receptive field."""

FAILS = ["q2", "q4", "q5"]

_dilated_shape, _dilated_field = output_shape, receptive_field


def output_shape(layer, shape):
    return _dilated_shape({**layer, "dilation": 1}, shape)


def receptive_field(layers):
    return _dilated_field([{**layer, "dilation": 1} for layer in layers])
