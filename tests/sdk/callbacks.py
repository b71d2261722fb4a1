# A program that has twilio-python judge the signature of each request: 200 or 403. TOKEN comes from the environment, and
# CERTIFICATE and KEY for TLS.
import os
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

CERTIFICATE = os.environ.get('CERTIFICATE')


class Form(dict):
    def __init__(self, text):
        pairs = parse_qsl(text, keep_blank_values=True)
        super().__init__(pairs)
        self.pairs = pairs

    def getall(self, name):
        return [value for found, value in self.pairs if found == name]


class Program(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, form):
        url = f"{'https' if CERTIFICATE else 'http'}://{self.headers['Host']}{self.path}"
        valid = RequestValidator(os.environ['TOKEN']).validate(url, form, self.headers['X-Twilio-Signature'])
        asks = self.path.startswith('/private') and not self.headers['Authorization']
        self.send_response(403 if not valid else 401 if asks else 200)
        self.send_header('WWW-Authenticate', 'Basic realm="x"')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        self.answer(Form(self.rfile.read(int(self.headers['Content-Length'])).decode()))

    def log_message(self, *_):
        pass


server = HTTPServer(('127.0.0.1', 0), Program)
if CERTIFICATE:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, os.environ['KEY'])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
