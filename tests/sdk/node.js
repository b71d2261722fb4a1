// What twilio-node must be able to do: numbers that an account holds, and a search. SITE, SID and TOKEN come from the environment.
const assert = require('assert');
const twilio = require('twilio');

const { SITE, SID, TOKEN, BALANCE, HELD } = process.env;

function client(token) {
  const made = twilio(SID, token);
  made.api.baseUrl = SITE;
  return made;
}

async function refused(status, code, call) {
  await assert.rejects(call, (error) => {
    assert.deepStrictEqual([error.status, error.code], [status, code], error.message);
    assert.ok(error.moreInfo.endsWith(`/docs/errors/${code}`), error.moreInfo);
    return true;
  });
}

async function main() {
  const c = client(TOKEN);
  const account = await c.api.accounts(SID).fetch();
  assert.deepStrictEqual([account.status, account.type, account.authToken], ['active', 'Full', null]);
  assert.strictEqual((await c.balance.fetch()).balance, BALANCE);
  await refused(401, 20003, () => client('x'.repeat(32)).api.accounts(SID).fetch());

  // 3 of those that are held are toll-free.
  const count = Number(HELD);
  const held = await c.incomingPhoneNumbers.list();
  assert.strictEqual(new Set(held.map((one) => one.sid)).size, count);
  assert.strictEqual((await c.incomingPhoneNumbers.list({ limit: 5000 })).length, count);
  assert.strictEqual((await c.incomingPhoneNumbers.local.list()).length, count - 3);
  assert.strictEqual((await c.incomingPhoneNumbers.list({ phoneNumber: '867001' })).length, 10);
  const page = await c.incomingPhoneNumbers.page({ pageSize: 2 });
  const back = await (await page.nextPage()).previousPage();
  assert.deepStrictEqual(back.instances.map((one) => one.sid), page.instances.map((one) => one.sid));

  const one = held.find((number) => number.phoneNumber === '+14158670006');
  assert.strictEqual(one.capabilities.sms, true);
  assert.strictEqual(one.dateCreated instanceof Date && !Number.isNaN(one.dateCreated.getTime()), true);
  const number = c.incomingPhoneNumbers(one.sid);
  assert.strictEqual((await number.update({ smsUrl: 'http://example.com/s' })).smsUrl, 'http://example.com/s');
  assert.strictEqual((await number.update({ smsUrl: null })).smsUrl, '');
  await refused(400, 21402, () => number.update({ voiceUrl: 'nope' }));
  assert.strictEqual(await number.remove(), true);
  await refused(404, 20404, () => number.remove());

  // On sale are 40 numbers of 415, 212-FLOWERS, and 40 toll-free ones.
  const us = c.availablePhoneNumbers('US');
  const found = await us.local.list({ areaCode: 415, limit: 20 });
  assert.ok(found.length === 20 && found.every((one) => one.phoneNumber.startsWith('+1415')));
  assert.deepStrictEqual([found[0].region, found[0].locality, found[0].capabilities.sms], ['CA', null, true]);
  const flowers = await us.local.list({ contains: '*FLOWERS' });
  assert.deepStrictEqual(flowers.map((one) => one.friendlyName), ['(212) 356-9377']);
  assert.strictEqual((await us.tollFree.list({ limit: 5000 })).length, 30);
  assert.strictEqual((await us.local.list({ faxEnabled: true })).length, 0);
  await refused(404, 20404, () => us.mobile.list());
  assert.deepStrictEqual((await c.availablePhoneNumbers.list()).map((one) => one.countryCode), ['US']);
  assert.deepStrictEqual(Object.keys((await us.fetch()).subresourceUris).sort(), ['local', 'toll_free']);
  await refused(400, 29002, () => us.local.list({ inPostalCode: '94105' }));
  await assert.rejects(() => us.local.list({ inPostalCode: '94105' }), /InPostalCode/);
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
