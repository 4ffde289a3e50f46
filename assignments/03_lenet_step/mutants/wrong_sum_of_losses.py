"""The losses are added up and not averaged: the step grows with the batch."""

FAILS = ["q2", "q3", "q4", "q5"]


def mean_loss(weights, images, labels):
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=forward(weights, images)))
