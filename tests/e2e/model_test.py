"""`trawl model`: what it says of the sample's model is true, whichever form it is asked for.

Figures are held against what is known without the engine: the network as it was trained
(ops/sample/network.py), and each other. No speed is asserted.
"""

import json
import math
import unittest

import trawl_e2e as e2e


def node_weights(convolution):
    """Bytes of a convolution's weights as the graph has them."""
    return 4 * math.prod(convolution["inputs"][1]["shape"])


class ModelTest(e2e.EndToEndTest):
    def model(self, *arguments, exit_code=0):
        done = e2e.trawl("model", *arguments)
        self.assertEqual(done.returncode, exit_code, done.stderr)
        return done.stdout if exit_code == 0 else done.stderr

    def inspect(self, form, *arguments):
        return json.loads(self.model("inspect", e2e.SAMPLE / form, "--json", *map(str, arguments)))

    def test_inspect_tells_the_same_network_in_both_forms(self):
        onnx, mxnet = self.inspect("model-onnx"), self.inspect("model-mxnet")
        self.assertEqual(onnx["flops"], mxnet["flops"])
        self.assertEqual([n["op"] for n in onnx["nodes"]], [n["op"] for n in mxnet["nodes"]])
        self.assertEqual(onnx["inputs"][0]["shape"], mxnet["inputs"][0]["shape"])

    def test_inspect_counts_each_convolution_by_its_shapes(self):
        nodes = self.inspect("model-onnx", "--batch", 3)["nodes"]
        convolutions = [node for node in nodes if node["op"].endswith("Conv")]
        self.assertGreater(len(convolutions), 3)
        for node in convolutions:
            with self.subTest(node["node"]):
                images, channels, height, width = node["outputs"][0]["shape"]
                _, of_group, *taps = node["inputs"][1]["shape"]
                self.assertEqual(images, 3)
                multiply_adds = images * channels * height * width * of_group * taps[0] * taps[1]
                self.assertEqual(node["flops"], 2 * multiply_adds)

    def test_inspect_plans_memory_for_the_batch(self):
        one, eight = (self.inspect("model-onnx", "--batch", n)["arena_bytes"] for n in (1, 8))
        self.assertGreater(one, 0)
        self.assertGreater(eight, one)

    def test_inspect_tells_what_each_kernel_holds(self):
        facts = self.inspect("model-onnx", "--batch", 8)
        for node in facts["nodes"]:
            if "winograd" in node["kernel"]:  # 36 products for 9 taps of at least 16 outputs
                self.assertGreaterEqual(node["packed_bytes"], 4 * node_weights(node))
                self.assertGreater(node["scratch_bytes"], 0)
            self.assertLessEqual(node["scratch_bytes"], facts["arena_bytes"])
            self.assertLessEqual(node["images_at_a_time"], 8)
        self.assertTrue(any(node["packed_bytes"] for node in facts["nodes"]))

    def test_inspect_prints_every_pass_and_node(self):
        facts = self.inspect("model-onnx")
        text = self.model("inspect", e2e.SAMPLE / "model-onnx")
        for name in [p["pass"] for p in facts["passes"]] + [n["node"] for n in facts["nodes"]]:
            self.assertIn(name, text)

    def test_bench_writes_a_line_for_each_batch_and_number_of_threads(self):
        for mode in ((), ("--latency",)):
            lines = [
                json.loads(line)
                for line in self.model(
                    *("bench", "--batch", "1,3", "--threads", "1,2", *mode, "--seconds", "0.05"),
                    *("--json", e2e.MODEL),
                ).splitlines()
            ]
            self.assertEqual(
                [(line["threads"], line["batch"]) for line in lines],
                [(1, 1), (1, 3), (2, 1), (2, 3)],
            )
            for line in lines:
                self.assertEqual(line["mode"], "latency" if mode else "throughput")
                self.assertLessEqual(line["images_per_second_min"], line["images_per_second"])
                self.assertLessEqual(line["images_per_second"], line["images_per_second_max"])
                self.assertGreater(line["share_of_peak"], 0)

    def test_bench_times_every_layer(self):
        facts = self.inspect("model-onnx")
        arguments = ("--batch", "2", "--threads", "1", "--seconds", "0.05", "--layers", "--json")
        line = json.loads(self.model("bench", e2e.MODEL, *arguments))
        self.assertEqual(
            [layer["node"] for layer in line["layers"]], [node["node"] for node in facts["nodes"]]
        )
        for layer in line["layers"]:
            self.assertGreater(layer["milliseconds"], 0)

    def test_bench_runs_the_instructions_that_are_asked_for(self):
        done = e2e.trawl(
            *("model", "bench", e2e.MODEL, "--batch", "1", "--threads", "1"),
            *("--seconds", "0.05", "--json"),
            env={"TRAWL_ISA": "portable"},
        )
        line = json.loads(done.stdout)
        self.assertEqual((line["model"], line["isa"]), ("sample-onnx", "portable"))

    def test_what_is_wrong_is_told_in_one_line(self):
        for pattern, *arguments in (
            ("nowhere", "inspect", "nowhere"),
            ("batch", "bench", e2e.MODEL, "--batch", "0"),
            ("batch", "bench", e2e.MODEL, "--batch", "1,x"),
            ("unknown subcommand 'inspct'", "inspct", e2e.MODEL),
        ):
            with self.subTest(pattern):
                error = self.model(*arguments, exit_code=2)
                self.assertIn(pattern, error)
                self.assertEqual(error.count("\n"), 1, error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
