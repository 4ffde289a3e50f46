"""Map after map is flattened, as with channels first; a single pixel for each map hides it."""

FAILS = ["q1", "q2", "q3", "q4", "q5"]


def forward(weights, images):
    maps = images
    for layer in ("conv1", "conv2"):
        maps = tf.nn.conv2d(maps, weights[f"{layer}_kernel"], 1, "SAME")
        maps = tf.nn.max_pool2d(tf.nn.relu(maps + weights[f"{layer}_bias"]), 2, 2, "SAME")
    flat = tf.reshape(tf.transpose(maps, [0, 3, 1, 2]), [len(images), -1])
    hidden = tf.nn.relu(flat @ weights["dense1_kernel"] + weights["dense1_bias"])
    return hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
