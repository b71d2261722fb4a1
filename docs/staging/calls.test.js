const { SALES } = require('./shop');
const { shop, world } = require('./world');

test('pressing 1 leads to sales', async () => {
  const number = await shop.sell('415');
  const call = await world.call(number.phoneNumber, 'press 1; dial answered 20');
  expect(call.steps.map((step) => step.verb)).toEqual(['Say', 'Gather', 'Dial']);
  expect(call.steps.at(-1).dialled).toEqual([SALES]);
});

test('a broken Url leads to the fallback', async () => {
  const number = await shop.sell('415');
  await world.client.incomingPhoneNumbers(number.sid).update({ voiceUrl: `${shop.url}/nowhere` });
  const call = await world.call(number.phoneNumber);
  expect(call.requests.map((asked) => [asked.why, asked.status])).toEqual([['url', 404], ['fallback', 200]]);
  expect(call.steps.map((said) => said.text)).toEqual(['Please call again later.']);
  expect(call.notifications.map((error) => error.code)).toEqual([11200]);
});
