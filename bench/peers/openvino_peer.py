"""OpenVINO: the latency hint with one request at a time, or the throughput hint with several.

`--precision fp32` and `int8` hold what the file has in floats to fp32; OpenVINO's own default is
bf16 where the processor has it. Files in QDQ form run in integers either way; the answer tells in
how many of their convolutions and products. Pinning is off: on, it would pin the threads of every
process to the same cores.
"""

import openvino

import peer


def compiled_model(arguments):
    core = openvino.Core()
    model = core.read_model(arguments.model)
    shape = model.input(0).partial_shape
    shape[0] = arguments.batch
    model.reshape({model.input(0): shape})
    config = {
        "PERFORMANCE_HINT": "LATENCY" if arguments.sessions == 1 else "THROUGHPUT",
        "INFERENCE_NUM_THREADS": arguments.threads,
        "ENABLE_CPU_PINNING": False,
    }
    if arguments.sessions > 1:
        config["NUM_STREAMS"] = arguments.sessions
    if arguments.precision != "default":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    return core.compile_model(model, "CPU", config)


def executed_precision(compiled):
    """As the plugin's own graph has it: of floats, and how many heavy layers are in integers."""
    floats = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    heavy = [info for info in layers if info["layerType"] in ("Convolution", "FullyConnected")]
    integers = sum(info["runtimePrecision"] in ("i8", "u8") for info in heavy)
    return f"{floats}, {integers} of {len(heavy)} layers int8" if integers else floats


def lane(compiled, seed):
    request = compiled.create_infer_request()
    shape = list(compiled.input(0).shape)
    request.set_input_tensor(openvino.Tensor(peer.pictures(shape, seed)))
    return request.infer


def main():
    arguments = peer.arguments()
    compiled = compiled_model(arguments)
    lanes = [lane(compiled, seed) for seed in range(arguments.sessions)]
    version = openvino.__version__.split("-")[0]
    facts = {"version": version, "precision": executed_precision(compiled)}
    peer.serve(facts, lanes, arguments.batch)


if __name__ == "__main__":
    main()
