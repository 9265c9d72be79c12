"""OpenVINO: the latency hint with one request at a time, or the throughput hint with several.

`--precision fp32` holds it to fp32; its own default is bf16 where the processor has it. Pinning is
off: on, it would pin the threads of every process to the same cores.
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
    if arguments.precision == "fp32":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    return core.compile_model(model, "CPU", config)


def lane(compiled, seed):
    request = compiled.create_infer_request()
    shape = list(compiled.input(0).shape)
    request.set_input_tensor(openvino.Tensor(peer.pictures(shape, seed)))
    return request.infer


def main():
    arguments = peer.arguments()
    compiled = compiled_model(arguments)
    lanes = [lane(compiled, seed) for seed in range(arguments.sessions)]
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    facts = {"version": openvino.__version__.split("-")[0], "precision": precision}
    peer.serve(facts, lanes, arguments.batch)


if __name__ == "__main__":
    main()
