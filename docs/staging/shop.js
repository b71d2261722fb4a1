// The program under test, a shop for phone numbers. Nothing in it knows whether Twilio is real.
const { randomUUID } = require('crypto');
const http = require('http');
const { RequestClient, twiml, validateRequest } = require('twilio');

const SALES = '+14155550123';

// Asks again when an answer is lost. By the key, what was already bought is not bought again.
class PatientClient extends RequestClient {
  async request(options) {
    const headers = { ...options.headers, 'Idempotency-Key': randomUUID() };
    for (let triesLeft = 2; ; triesLeft -= 1) {
      try {
        return await super.request({ ...options, headers });
      } catch (error) {
        if (!triesLeft) throw error;
      }
    }
  }
}

class Shop {
  constructor(client, token) {
    Object.assign(this, { client, token });
    this.server = http.createServer((request, response) => this.answer(request, response));
  }

  async open() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  close() {
    return new Promise((done) => this.server.close(done));
  }

  sell(areaCode) {
    const { client, url } = this;
    return client.incomingPhoneNumbers.create({ areaCode, voiceUrl: `${url}/voice`, voiceFallbackUrl: `${url}/sorry` });
  }

  async answer(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
    const signature = request.headers['x-twilio-signature'] ?? '';
    if (request.url === '/orders') {
      response.writeHead(202).end('Your number is on its way.');
      await this.sell(form.areaCode);
    } else if (!validateRequest(this.token, signature, this.url + request.url, form)) {
      response.writeHead(403).end('Twilio did not sign this.');
    } else if (request.url in TWIML) {
      response.writeHead(200, { 'Content-Type': 'text/xml' }).end(TWIML[request.url](form).toString());
    } else {
      response.writeHead(404).end('There is nothing here.');
    }
  }
}

const TWIML = {
  '/voice'() {
    const voice = new twiml.VoiceResponse();
    voice.gather({ numDigits: 1, action: '/menu' }).say('For sales, press 1.');
    return voice;
  },
  '/menu'(form) {
    const voice = new twiml.VoiceResponse();
    if (form.Digits === '1') voice.dial(SALES);
    else voice.redirect('/voice');
    return voice;
  },
  '/sorry'() {
    const voice = new twiml.VoiceResponse();
    voice.say('Please call again later.');
    return voice;
  },
};

module.exports = { PatientClient, SALES, Shop };
