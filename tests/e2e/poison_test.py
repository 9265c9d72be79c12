"""Messages and objects that break whoever takes them: each is one failure that says what it was and
where, and nothing else happens.

Poison is put onto the work topic while a job is on it, whole messages of that job and the same ones
with one thing wrong. TRAWL_POISON=10000 is what ops/soak.sh asks for, of each.
"""

import copy
import json
import os
import random
import subprocess
import unittest

import chaos
import trawl_e2e as e2e
from chaos_case import ChaosCase

COUNT = int(os.environ.get("TRAWL_POISON", "500"))  # of good objects, and of bad messages
NOBODY = b"nobody "
LARGE_BYTES = 900_000  # near what a broker takes
LONG_KEY_BYTES = (16 << 10) + 1  # beyond what a worker takes
MAX_RSS_BYTES = 256 << 20


class Poison:
    """Bytes that are no work message, made from one that is."""

    def __init__(self, message, seed):
        self.text = message
        self.work = json.loads(message)
        self.random = random.Random(seed)
        self.kinds = [
            lambda i: b"",
            lambda i: self.random.randbytes(1 + i % 2000),
            lambda i: self.text[: self.random.randrange(1, len(self.text) - 1)],
            lambda i: self.with_value(["version"], self.random.choice([0, 2, 1 << 40, "1", None])),
            self.with_wrong_type,
            self.without_field,
            lambda i: self.with_value(["batch"], self.random.choice([-1, 1 << 63, 1e300, 0.5])),
            lambda i: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            lambda i: b"[" * 100_000,
            lambda i: self.text.replace(b'"job"', b'"\xff\xfe"', 1),
            lambda i: self.text[:-1] + b',"extra":NaN}',
            lambda i: b"\0" * (1 + i % 100),
            lambda i: self.text + self.text,
            lambda i: self.with_value(["objects"], []),
            lambda i: self.with_value(["objects", 0, "key"], "k" * (LONG_KEY_BYTES + i)),
            lambda i: b"x" * (LARGE_BYTES if i % 150 == 15 else 9_000),
        ]

    def __call__(self, i):
        return self.kinds[i % len(self.kinds)](i)

    def with_value(self, path, value):
        changed = copy.deepcopy(self.work)
        at = changed
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return json.dumps(changed).encode()

    def with_wrong_type(self, i):
        """One of the fields that every message has, as something else than it is."""
        name = sorted(self.work)[i % len(self.work)]
        others = [None, True, -1.5, "7", [[]], {"a": {}}]
        others = [each for each in others if not isinstance(each, type(self.work[name]))]
        return self.with_value([name], self.random.choice(others))

    def without_field(self, i):
        name = sorted(self.work)[i % len(self.work)]
        return json.dumps({key: self.work[key] for key in self.work if key != name}).encode()


class PoisonTest(ChaosCase):
    def test_malformed_messages_are_one_failure_each(self):
        self.fleet.environment |= {"TRAWL_BATCH_KEYS": "1"}  # as many messages
        topic = f"trawl.work.{self.fleet.job}"
        good = self.begin_to_enqueue(COUNT)
        e2e.wait_until(lambda: self.messages(topic, "-c1"), "a message of work")
        [(_, _, message)] = self.messages(topic, "-c1")
        poison = Poison(message, self.random.random())
        rounds = 10
        for i in range(rounds):  # among the good ones
            some = [poison(each) for each in range(COUNT * i // rounds, COUNT * (i + 1) // rounds)]
            self.put(topic, some[::2], "-Z")  # nothing becomes a message without a value
            self.put(topic, some[1::2])  # and here, one of no bytes
        self.end_enqueueing()
        places = {f"{topic}/{at}" for key, at, _ in self.messages(topic) if key.startswith(NOBODY)}
        self.assertEqual(len(places), COUNT)
        filed = f"malformed/{topic}"
        self.wait_for_rows(COUNT)
        self.wait_for_rows(COUNT, filed)
        self.finish(good)
        chaos.check_exactly_once(self.fleet, places, dict.fromkeys(places, "internal"), job=filed)
        print(f"{COUNT} malformed messages, one failure each, among {COUNT} objects", flush=True)
        self.assert_accounts_agree(filed)
        self.assertEqual(self.fleet.exits, {}, "nobody may die of a message")
        for name, process in self.fleet.processes.items():
            self.assertLess(e2e.peak_bytes(process), MAX_RSS_BYTES, f"{name}'s memory")

    def assert_accounts_agree(self, filed):
        """The job's do not count what was never in it; what was is named as what it is."""
        database = ("--db", self.fleet.db)
        progress_sql = "SELECT state, enqueued, done, failed FROM job_progress WHERE job = ?"
        e2e.wait_until(
            lambda: e2e.query(self.fleet.db, progress_sql, self.fleet.job)[0][0] == "complete",
            "the end of the listing in the database",
        )
        verified = e2e.trawl("verify", self.fleet.job, *database, env=self.fleet.environment)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        [progress] = e2e.query(self.fleet.db, progress_sql, self.fleet.job)
        self.assertEqual(progress, ("complete", COUNT, COUNT, 0))
        status = e2e.trawl("status", *database)
        self.assertIn(f"{COUNT} malformed messages on {filed.split('/')[1]}", status.stdout)
        nobodys = e2e.trawl("verify", filed, *database, env=self.fleet.environment)
        self.assert_clean_error(nobodys, 4, "no job|no such job|malformed")

    def messages(self, topic, *options):
        """(key, partition/offset, value) of each; none as long as there is no such topic."""
        end, field = (f"--{self.random.getrandbits(64):016x}{each}--" for each in "lf")
        done = subprocess.run(
            ["kcat", "-C", "-b", self.broker.address, "-t", topic, "-e", "-q", *options]
            + ["-f", f"%k{field}%p/%o{field}%s{end}"],
            check=False,
            timeout=e2e.TIMEOUT_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        each = done.stdout.split(end.encode())[:-1]
        split = [message.split(field.encode()) for message in each]
        return [(key, place.decode(), value) for key, place, value in split]

    def put(self, topic, messages, *options):
        """Any bytes, by kcat, all over the partitions, under keys that begin with NOBODY."""
        key, line = (f"--{self.random.getrandbits(64):016x}{end}--" for end in "kl")
        subprocess.run(
            ["kcat", "-P", *options, "-b", self.broker.address, "-t", topic, "-K", key, "-D", line],
            input=b"".join(
                NOBODY + f"{i}{key}".encode() + each + line.encode()
                for i, each in enumerate(messages)
            ),
            check=True,
            timeout=e2e.TIMEOUT_S,
        )

    def test_an_object_that_kills_its_worker_fails_after_the_third_try(self):
        self.fleet = self.make_fleet([chaos.FAILPOINTS])
        self.fleet.environment |= {"FAILPOINT": "opened", "FAILPOINT_FILE": "poison"}
        keys = chaos.make_bucket(self.bucket, 200)
        poison = "3/000003-poison.jpg"  # listed, and so enqueued, among good ones
        os.link(self.bucket / keys[0], self.bucket / poison)
        self.fleet.run_collector()
        self.fleet.run_workers(1, [e2e.SAMPLE, self.bucket])
        self.assertEqual(self.fleet.produce(self.bucket).returncode, 0)
        self.finish([*keys, poison], failures={poison: "internal"})
        deaths = {("worker-0", chaos.EXIT_CODE): 3}
        self.assertEqual(self.fleet.exits, deaths, self.fleet.tail())
        told = "SELECT attempts, message FROM failures WHERE job = ?"
        [(attempts, message)] = e2e.query(self.fleet.db, told, self.fleet.job)
        self.assertEqual(attempts, 3)
        self.assertIn("its worker died 3 times", message)


if __name__ == "__main__":
    unittest.main(verbosity=2)
