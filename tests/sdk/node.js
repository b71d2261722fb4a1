// What twilio-node must be able to do here. SITE, SID and TOKEN come from the environment.
const assert = require('assert');
const twilio = require('twilio');

const { SITE, SID, TOKEN, BALANCE } = process.env;
// Forms that are multipart/form-data cannot hold null.
const unset = require('twilio/package.json').version.startsWith('3.') ? '' : null;

function client(token, sid = SID, accountSid = sid) {
  const made = twilio(sid, token, { accountSid });
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

  // 120 local numbers and 3 toll-free ones are held.
  const count = 123;
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
  assert.strictEqual((await number.update({ smsUrl: unset })).smsUrl, '');
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

  const bought = await c.incomingPhoneNumbers.create({ phoneNumber: found[0].phoneNumber, statusCallback: 'http://example.com/s' });
  assert.strictEqual(bought.statusCallback, 'http://example.com/s');
  await refused(400, 21422, () => c.incomingPhoneNumbers.create({ phoneNumber: found[0].phoneNumber }));
  assert.ok((await c.incomingPhoneNumbers.create({ areaCode: '415' })).phoneNumber.startsWith('+1415'));
  await refused(400, 21452, () => c.incomingPhoneNumbers.create({ areaCode: '213' }));
  await refused(400, 21458, () => c.incomingPhoneNumbers.local.create({ phoneNumber: '+18005550100' }));

  const made = await c.api.accounts.create({ friendlyName: 's' });
  assert.strictEqual(made.ownerAccountSid, SID);
  const child = client(made.authToken, made.sid);
  const acting = client(TOKEN, SID, made.sid);
  const its = await child.incomingPhoneNumbers.create({ areaCode: '415' });
  assert.deepStrictEqual((await acting.incomingPhoneNumbers.list()).map((one) => one.sid), [its.sid]);
  const moved = await acting.incomingPhoneNumbers(its.sid).update({ accountSid: SID });
  assert.deepStrictEqual([moved.accountSid, moved.sid], [SID, its.sid]);
  assert.strictEqual((await c.api.accounts(made.sid).update({ status: 'closed' })).status, 'closed');
  await refused(401, 20003, () => child.api.accounts(made.sid).fetch());
  await refused(400, 21479, () => c.api.accounts(made.sid).update({ status: 'active' }));

  const key = await c.newKeys.create({ friendlyName: 'k' });
  const byKey = client(key.secret, key.sid, SID);
  assert.strictEqual((await byKey.incomingPhoneNumbers.list({ limit: 5 })).length, 5);
  await refused(403, 20006, () => byKey.api.accounts.list());
  assert.deepStrictEqual((await c.keys.list()).map((one) => [one.sid, one.friendlyName]), [[key.sid, 'k']]);
  assert.strictEqual(await c.keys(key.sid).remove(), true);
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
