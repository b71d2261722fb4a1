// A program that has twilio-node judge the signature of each request: 200 or 403. TOKEN comes from the environment, and
// CERTIFICATE and KEY for TLS.
const fs = require('fs');
const http = require('http');
const https = require('https');
const querystring = require('querystring');
const { validateRequest } = require('twilio');

const { TOKEN, CERTIFICATE, KEY } = process.env;

async function program(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const form = querystring.parse(Buffer.concat(parts).toString());
  const url = `${CERTIFICATE ? 'https' : 'http'}://${request.headers.host}${request.url}`;
  const valid = validateRequest(TOKEN, request.headers['x-twilio-signature'], url, form);
  const asks = request.url.startsWith('/private') && !request.headers.authorization;
  response.writeHead(!valid ? 403 : asks ? 401 : 200, { 'WWW-Authenticate': 'Basic realm="x"' }).end();
}

const server = CERTIFICATE
  ? https.createServer({ cert: fs.readFileSync(CERTIFICATE), key: fs.readFileSync(KEY) }, program)
  : http.createServer(program);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
