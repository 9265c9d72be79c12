"""`trawl plan` on the sample bucket, whose truth is known, and on a real S3 server."""

import json
import os
import subprocess
import unittest

import s3_client
import trawl_e2e as e2e


class PlanTest(e2e.EndToEndTest):
    def plan(self, *arguments, env=None):
        """Runs in the scratch folder, where nothing may appear."""
        before = sorted(os.listdir(self.dir))
        done = subprocess.run(
            [e2e.TRAWL, "plan", "--model", str(e2e.MODEL), *map(str, arguments)],
            env=e2e.environment(env),
            cwd=self.dir,
            capture_output=True,
            text=True,
            timeout=e2e.TIMEOUT_S,
            check=False,
        )
        self.assertEqual(sorted(os.listdir(self.dir)), before, "it wrote something")
        return done

    def plan_json(self, *arguments, env=None):
        done = self.plan(*arguments, "--json", env=env)
        plan = json.loads(done.stdout) if done.stdout else self.fail(done.stderr)
        self.assertEqual(done.returncode, 1 if plan["sample"]["failed"] else 0, done.stderr)
        return plan

    def test_a_sample_of_everything_agrees_with_what_is_known(self):
        plan = self.plan_json(e2e.BUCKET)
        truth = e2e.truth()
        sizes = [(e2e.BUCKET / key).stat().st_size for key in truth]
        self.assertEqual(plan["keys"], {"seen": len(truth), "all": True})
        self.assertEqual(plan["size_bytes"]["total_estimate"], sum(sizes))
        self.assertEqual(plan["size_bytes"]["largest"], max(sizes))
        self.assertEqual(plan["size_bytes"]["median"], sorted(sizes)[-(-len(sizes) // 2) - 1])
        sample = plan["sample"]
        self.assertEqual(sample["objects"], len(truth))
        self.assertEqual(sample["failed"], len(e2e.broken_keys()))
        self.assertEqual(sum(sample["errors"].values()), sample["failed"])
        self.assertEqual(sum(sample["formats"].values()), len(truth))
        for code in sample["errors"]:
            self.assertRegex(code, "^[a-z_]+$")

    def test_the_forecast_follows_from_the_costs(self):
        plan = self.plan_json(
            *(e2e.BUCKET, "--sample", "60", "--keys", "100", "--objects", "1000000"),
            *("--workers", "3", "--cores", "4"),
            *("--price-per-hour", "0.5", "--deadline", "1min"),
        )
        self.assertEqual(plan["keys"], {"seen": 100, "all": False})
        cost, forecast = plan["seconds_per_object"], plan["forecast"]
        rate = 3 * min(
            4 / (cost["decode"] + cost["inference"]),
            forecast["downloads_in_flight"] / cost["download"],
        )
        self.assertAlmostEqual(forecast["objects_per_second"] / rate, 1, places=6)
        self.assertAlmostEqual(forecast["seconds"] * rate / 1e6, 1, places=6)
        self.assertAlmostEqual(forecast["cost"], forecast["seconds"] / 3600 * 3 * 0.5, places=9)
        self.assertEqual(plan["suggested"]["workers"], max(1, -(-1_000_000 // (rate / 3 * 60))))
        self.assertIn(plan["suggested"]["batch_size"], (1, 2, 4, 8, 16))

    def test_no_price_no_cost_and_nothing_to_classify_no_forecast(self):
        table = self.plan(e2e.BUCKET, "--include", "*Gem*")
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("cost         not forecast: no --price-per-hour", table.stdout)
        texts = self.dir / "texts"
        texts.mkdir()
        (texts / "a.txt").write_text("no picture")
        plan = self.plan_json(texts)
        self.assertEqual(plan["sample"]["errors"], {"not_an_image": 1})
        self.assertIsNone(plan["forecast"])
        empty = self.dir / "empty"
        empty.mkdir()
        self.assertEqual(self.plan_json(empty)["keys"], {"seen": 0, "all": True})

    def test_usage(self):
        self.assert_clean_error(self.plan("/nowhere"), 2, "no such folder")
        self.assert_clean_error(self.plan(e2e.BUCKET, "--deadline", "5"), 2, "--deadline")
        self.assert_clean_error(self.plan(), 2, "SOURCE")

    def test_a_bucket_on_s3(self):
        s3 = s3_client.S3Server()
        self.addCleanup(s3.close)
        pictures = e2e.sample_pictures()[:40]
        for i, picture in enumerate(pictures):
            s3.put(f"in/{i:03}.jpg", picture)
        plan = self.plan_json("s3://photos/in/", "--sample", "30", env=s3.environment)
        self.assertEqual(plan["keys"], {"seen": 40, "all": True})
        self.assertEqual(plan["sample"]["classified"], 30)
        self.assertEqual(
            plan["size_bytes"]["total_estimate"], sum(p.stat().st_size for p in pictures)
        )
        self.assertGreater(plan["seconds_per_object"]["download"], 0)
        self.assert_clean_error(
            self.plan("s3://nowhere/", env=s3.environment), 2, "NoSuchBucket|nowhere"
        )
        unreachable = s3.environment | {
            "TRAWL_S3_ENDPOINT": f"http://127.0.0.1:{e2e.free_port()}",
            "TRAWL_DOWNLOAD_ATTEMPTS": "1",
        }
        self.assert_clean_error(self.plan("s3://photos/in/", env=unreachable), 69, "127.0.0.1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
