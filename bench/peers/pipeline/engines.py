"""A model on one thread: a function from [batch, 3, H, W] float32 to [batch, classes]."""

import numpy


def onnxruntime_engine(model, batch, precision):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: session.run(None, {name: tensor})[0]


def openvino_engine(model, batch, precision):
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    shape = network.input(0).partial_shape
    shape[0] = batch
    network.reshape({network.input(0): shape})
    # Pinned, the threads of all processes would share one core.
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    if precision == "fp32":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    request = core.compile_model(network, "CPU", config).create_infer_request()

    def run(tensor):
        request.infer([tensor])
        return numpy.array(request.get_output_tensor(0).data)

    return run


ENGINES = {"onnxruntime": onnxruntime_engine, "openvino": openvino_engine}


def engine(runtime, model, batch, precision="fp32"):
    return ENGINES[runtime](model, batch, precision)
