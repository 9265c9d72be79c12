"""PyTorch: the ONNX file by way of onnx2torch, traced, frozen and optimised for inference."""

import onnx2torch
import torch

import peer


def main():
    arguments = peer.arguments()
    torch.set_num_threads(arguments.threads)
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    images = torch.from_numpy(peer.pictures(shape, 0))
    with torch.inference_mode():
        model = torch.jit.trace(onnx2torch.convert(arguments.model).eval(), images)
        model = torch.jit.optimize_for_inference(torch.jit.freeze(model))

        def run():
            with torch.inference_mode():
                model(images)

        facts = {"version": torch.__version__, "precision": "fp32"}
        peer.serve(facts, [run], arguments.batch)


if __name__ == "__main__":
    main()
