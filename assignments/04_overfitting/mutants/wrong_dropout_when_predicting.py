"""Dropout stays switched on when the network predicts."""

FAILS = ["q4"]


class Dropout(layers.Dropout):
    """Dropout that does not know when training is over."""

    def call(self, inputs, training=True):  # noqa: D102
        return super().call(inputs, training=True)


layers.Dropout = Dropout
