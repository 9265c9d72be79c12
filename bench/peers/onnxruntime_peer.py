"""ONNX Runtime: one session on all threads, or several sessions that share them out."""

import onnxruntime

import peer


def lane(arguments, seed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, arguments.threads // arguments.sessions)
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        arguments.model, options, providers=["CPUExecutionProvider"]
    )
    value = session.get_inputs()[0]
    shape = [arguments.batch] + list(value.shape[1:])
    feed = {value.name: peer.pictures(shape, seed)}
    return lambda: session.run(None, feed)


def main():
    arguments = peer.arguments()
    lanes = [lane(arguments, seed) for seed in range(arguments.sessions)]
    facts = {"version": onnxruntime.__version__, "precision": arguments.precision}
    peer.serve(facts, lanes, arguments.batch)


if __name__ == "__main__":
    main()
