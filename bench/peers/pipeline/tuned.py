"""The tuned Python pipeline: a process for each core, in which one thread downloads (asyncio, many
objects at once) while the other decodes and classifies; the parent lists and stores.
"""

import asyncio
import importlib.metadata
import multiprocessing
import queue
import threading

import aiohttp
import yarl

import job

CHUNK = 8
AHEAD = 24  # downloads under way and photos that wait, together


def add_arguments(parser):
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino"), required=True)
    parser.add_argument("--precision", choices=("fp32", "default"), default="fp32")


class Downloads:
    """(key, bytes) in the order of their coming, from a thread that runs an event loop."""

    def __init__(self, bucket, chunks):
        self.bucket, self.chunks = bucket, chunks
        self.photos = queue.SimpleQueue()
        threading.Thread(target=lambda: asyncio.run(self.work()), daemon=True).start()

    async def work(self):
        self.loop, self.slots = asyncio.get_running_loop(), asyncio.Semaphore(AHEAD)
        tasks = set()
        connector = aiohttp.TCPConnector(limit=AHEAD)
        async with aiohttp.ClientSession(connector=connector) as session:
            while True:
                chunk = await self.loop.run_in_executor(None, self.chunks.get)
                if chunk is None:
                    break
                for key in chunk:
                    await self.slots.acquire()
                    task = asyncio.create_task(self.fetch(session, key))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            # All are back when all photos have been taken, and so have all tasks ended.
            for _ in range(AHEAD):
                await self.slots.acquire()
        self.photos.put(None)

    async def fetch(self, session, key):
        path = self.bucket.path(key)
        url = yarl.URL(self.bucket.endpoint + path, encoded=True)
        try:
            async with session.get(url, headers=self.bucket.headers(path)) as response:
                response.raise_for_status()
                self.photos.put((key, await response.read()))
        except (aiohttp.ClientError, OSError) as error:
            self.photos.put(error)

    def __iter__(self):
        while (photo := self.photos.get()) is not None:
            if isinstance(photo, Exception):
                raise photo
            self.loop.call_soon_threadsafe(self.slots.release)
            yield photo


def work(options, chunks, answers):
    downloads = Downloads(options.bucket, chunks)
    # Imported here, so that the parent need not be as large.
    from engines import engine
    import photos

    run = engine(options.runtime, options.model, options.batch, options.precision)
    squares = ((key, photos.square(data)) for key, data in downloads)
    for batch in photos.answers(squares, run, options.batch):
        answers.put((job.now_ms(), batch))
    answers.put(None)


def list_bucket(options, chunks):
    for page in options.bucket.pages():
        for start in range(0, len(page), CHUNK):
            chunks.put(page[start : start + CHUNK])
    for _ in range(options.cores):
        chunks.put(None)


def main():
    options = job.arguments(add_arguments)
    chunks, answers = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [
        multiprocessing.Process(target=work, args=(options, chunks, answers), daemon=True)
        for _ in range(options.cores)
    ]
    for worker in workers:
        worker.start()
    results = job.Results(options)
    list_bucket(options, chunks)
    working = len(workers)
    while working:
        try:
            answer = answers.get(timeout=1)
        except queue.Empty:
            if any(worker.exitcode for worker in workers):
                raise SystemExit("a worker process ended early")
            continue
        if answer is None:
            working -= 1
        else:
            results.add(*answer)
    results.finish(f"{options.runtime} {importlib.metadata.version(options.runtime)}")


if __name__ == "__main__":
    main()
