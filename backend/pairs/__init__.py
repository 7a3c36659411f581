"""Pure tensor mathematics of neuron-head pairs: no files, no model, no web.

Names of axes follow the paper (Bu and Gandelsman, arXiv 2509.19943): ``neuron`` is a channel of the
last convolutional block, ``head`` a head of the attention pool, ``d_out`` the width of the joint
image-text space, ``token`` 0 the mean of the spatial tokens.
"""
