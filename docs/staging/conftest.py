"""A world for each worker of pytest-xdist, on a port of its own. Each test begins with the seed."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
import requests
from shop import PatientHttpClient, Shop
from twilio.rest import Client

ACCOUNT, TOKEN = "AC00000000000000000000000000000001", "secret"  # as in seed.json


class World:
    def __init__(self, site):
        self.staging = f"{site}/staging"
        self.client = Client(ACCOUNT, TOKEN, http_client=PatientHttpClient())
        self.client.api.base_url = site

    def get(self, path, **query):
        return self._ask("GET", path, params=query)

    def post(self, path, **body):
        return self._ask("POST", path, json=body)

    def call(self, to, script=""):
        return self.post(f"/Accounts/{ACCOUNT}/InboundCalls", To=to, Script=script)

    def _ask(self, method, path, **rest):
        answer = requests.request(method, self.staging + path, auth=(ACCOUNT, TOKEN), **rest)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def world_of_this_worker():
    program = os.environ.get("NUMBERBANK", "numberbank")
    seed = Path(__file__).with_name("seed.json")
    command = [program, "staging", "--bind", "127.0.0.1:0", "--seed", seed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        listening, _, site = process.stdout.readline().rstrip().rpartition(" ")
        assert listening == "listening on", "the world did not start"
        yield World(site)
        process.terminate()


@pytest.fixture
def world(world_of_this_worker):
    world_of_this_worker.post("/reset")
    yield world_of_this_worker
    assert world_of_this_worker.get("/world")["unspent"] == [], "a fault met nothing"


@pytest.fixture(scope="session")
def shop(world_of_this_worker):
    with Shop(world_of_this_worker.client, TOKEN) as shop:
        threading.Thread(target=shop.serve_forever).start()
        yield shop
        shop.shutdown()
