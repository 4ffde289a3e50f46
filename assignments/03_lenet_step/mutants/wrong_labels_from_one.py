"""Labels are taken to count from 1, so that each image is taught its neighbour's name."""

FAILS = ["q2", "q3", "q4", "q5"]


def mean_loss(weights, images, labels):
    logits = forward(weights, images)
    truth = tf.one_hot(labels - 1, logits.shape[1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=truth, logits=logits))
