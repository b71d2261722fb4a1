// The world of this worker. Each test begins with the seed.
const twilio = require('twilio');
const { PatientClient, Shop } = require('./shop');

const [ACCOUNT, TOKEN] = ['AC00000000000000000000000000000001', 'secret']; // as in seed.json
const SITE = process.env.WORLDS.split(' ')[process.env.JEST_WORKER_ID - 1];

const client = twilio(ACCOUNT, TOKEN, { httpClient: new PatientClient() });
client.api.baseUrl = SITE;
const shop = new Shop(client, TOKEN);

async function ask(path, options) {
  const headers = { Authorization: `Basic ${btoa(`${ACCOUNT}:${TOKEN}`)}` };
  const answer = await fetch(`${SITE}/staging${path}`, { headers, ...options });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const world = {
  client,
  get: (path) => ask(path),
  post: (path, body = {}) => ask(path, { method: 'POST', body: JSON.stringify(body) }),
  call: (To, Script = '') => world.post(`/Accounts/${ACCOUNT}/InboundCalls`, { To, Script }),
};

beforeAll(() => shop.open());
afterAll(() => shop.close());
beforeEach(() => world.post('/reset'));
afterEach(async () => expect((await world.get('/world')).unspent).toEqual([])); // or a fault met nothing

module.exports = { ACCOUNT, shop, world };
