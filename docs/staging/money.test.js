const { ACCOUNT, shop, world } = require('./world');

test('a lost answer buys once', async () => {
  await world.post('/faults', { on: { method: 'POST', route: '…/IncomingPhoneNumbers' }, do: { cut: 'after' } });
  await fetch(`${shop.url}/orders`, { method: 'POST', body: new URLSearchParams({ areaCode: '415' }) });

  // The shop buys later: this waits until it has asked twice.
  const [lost, again] = (await world.get('/log?kind=request&count=2&wait=5s')).entries;
  expect([lost.fault, again.replay]).toEqual(['F1', true]);
  const numbers = await world.client.incomingPhoneNumbers.list();
  expect(numbers.map((number) => number.phoneNumber)).toEqual(['+14158670000']);
  const money = (await world.get('/log?kind=money')).entries;
  expect(money.map((paid) => paid.amount)).toEqual(['-1.00']);
});

test('who does not pay for three months is suspended', async () => {
  const number = await shop.sell('415');
  const moved = await world.post('/clock', { advance: 'P3M' });
  expect(moved.suspended).toEqual([ACCOUNT]);

  await expect(shop.sell('415')).rejects.toMatchObject({ code: 20005 });
  const call = await world.call(number.phoneNumber);
  expect([call.requests, call.notifications[0].code]).toEqual([[], 10003]);
});
