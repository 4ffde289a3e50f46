"""The table is that of LeNet with its usual padding, copied from the course."""

FAILS = ["q1"]

conv1_shape, pool1_shape = (32, 32, 32), (16, 16, 32)
conv2_shape, pool2_shape = (16, 16, 64), (8, 8, 64)
flatten_shape = (4096,)
dense1_parameters = 4_195_328
conv1_multiply_adds, conv2_multiply_adds = 1_572_864, 8_388_608
dense1_multiply_adds = 4_194_304
