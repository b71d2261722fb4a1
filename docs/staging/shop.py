"""The program under test, a shop for phone numbers. Nothing in it knows whether Twilio is real."""

import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import VoiceResponse

SALES = "+14155550123"


class PatientHttpClient(TwilioHttpClient):
    """Asks again when an answer is lost. By the key, what was already bought is not bought again."""

    def request(self, method, url, headers=None, **rest):
        headers = {**(headers or {}), "Idempotency-Key": str(uuid.uuid4())}
        for tries_left in (2, 1, 0):
            try:
                return super().request(method, url, headers=headers, **rest)
            except requests.ConnectionError:
                if not tries_left:
                    raise


class Shop(ThreadingHTTPServer):
    def __init__(self, client, token):
        super().__init__(("127.0.0.1", 0), Page)
        self.client = client
        self.validator = RequestValidator(token)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def sell(self, area_code):
        return self.client.incoming_phone_numbers.create(
            area_code=area_code, voice_url=f"{self.url}/voice", voice_fallback_url=f"{self.url}/sorry"
        )


class Page(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))  # empty ones are signed too
        if self.path == "/orders":
            self.answer(202, "text/plain", "Your number is on its way.")
            self.server.sell(form["area_code"])
        elif not self.server.validator.validate(
            self.server.url + self.path, form, self.headers.get("X-Twilio-Signature", "")
        ):
            self.answer(403, "text/plain", "Twilio did not sign this.")
        elif self.path in TWIML:
            self.answer(200, "text/xml", str(TWIML[self.path](form)))
        else:
            self.answer(404, "text/plain", "There is nothing here.")

    def answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def greet(form):
    twiml = VoiceResponse()
    twiml.gather(num_digits=1, action="/menu").say("For sales, press 1.")
    return twiml


def menu(form):
    twiml = VoiceResponse()
    if form["Digits"] == "1":
        twiml.dial(SALES)
    else:
        twiml.redirect("/voice")
    return twiml


def apologize(form):
    twiml = VoiceResponse()
    twiml.say("Please call again later.")
    return twiml


TWIML = {"/voice": greet, "/menu": menu, "/sorry": apologize}
