"""What twilio-python must be able to do here. SITE, SID and TOKEN come from the environment."""

import os

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

SITE, SID, TOKEN = (os.environ[name] for name in ("SITE", "SID", "TOKEN"))


def client(token=TOKEN, sid=SID, of=None):
    made = Client(sid, token, of)
    made.api.base_url = SITE
    return made


def refused(status, code, call):
    try:
        call()
    except TwilioRestException as error:
        assert (error.status, error.code) == (status, code), error
        return
    raise AssertionError(f"{code} was expected")


def refused_page(code, call, named=""):
    """Where a list is refused, this SDK raises its other exception, with the whole answer as its text."""
    try:
        call()
    except TwilioException as error:
        assert f'"code":{code}' in str(error) and named in str(error), error
        return
    raise AssertionError(f"{code} was expected")


c = client()
numbers = c.incoming_phone_numbers

account = c.api.accounts(SID).fetch()
assert (account.status, account.type, account.auth_token) == ("active", "Full", None)
assert account.owner_account_sid == SID and account.date_created.tzinfo is not None
assert c.api.account.balance.fetch().balance == os.environ["BALANCE"]
assert [one.sid for one in c.api.accounts.list()] == [SID]
assert c.api.accounts.list(status="closed") == []
assert c.api.accounts(SID).update(friendly_name="Renamed").friendly_name == "Renamed"
refused(400, 21477, lambda: c.api.accounts(SID).update(status="closed"))
refused(401, 20003, client("x" * 32).api.accounts(SID).fetch)

# 120 local numbers and 3 toll-free ones are held.
held = numbers.list()
assert len(held) == len({one.sid for one in held}) == 123
assert len(numbers.list(limit=5000)) == 123 and len(numbers.list(limit=60, page_size=7)) == 60
assert (len(numbers.local.list()), len(numbers.toll_free.list()), len(numbers.mobile.list())) == (120, 3, 0)
page = numbers.page(page_size=2)
first = [one.sid for one in page]
following = page.next_page()
assert len(first) == 2 and [one.sid for one in following.previous_page()] == first
assert [one.sid for one in following] == [one.sid for one in held[2:4]]
for given, count in [
    ({"phone_number": "415*******"}, 120),
    ({"phone_number": "867001"}, 10),
    ({"phone_number": "+1800"}, 3),
    ({"friendly_name": "a b"}, 1),
    ({"origin": "hosted"}, 0),
]:
    assert len(numbers.list(**given)) == count, given

one = next(number for number in held if number.phone_number == "+14158670005")
assert one.capabilities["sms"] is True and one.capabilities["fax"] is False
assert one.date_created.utcoffset().total_seconds() == 0
number = numbers(one.sid)
assert number.fetch().uri.endswith(f"/IncomingPhoneNumbers/{one.sid}.json")
changed = number.update(voice_url="http://example.com/a", sms_url="http://example.com/s", sms_method="GET", friendly_name="x")
assert (changed.voice_url, changed.sms_url, changed.sms_method, changed.friendly_name) == (
    "http://example.com/a",
    "http://example.com/s",
    "GET",
    "x",
)
changed = number.update(voice_url="", friendly_name="")
assert (changed.voice_url, changed.voice_method, changed.friendly_name) == ("", "POST", "(415) 867-0005")
assert changed.trunk_sid is None
refused(400, 21402, lambda: number.update(voice_url="nope"))
assert number.update(status_callback="http://example.com/s").status_callback == "http://example.com/s"
refused(400, 21473, lambda: number.update(account_sid="AC" + "0" * 32))
assert number.delete() is True
refused(404, 20404, number.delete)
refused(404, 20404, number.fetch)

# On sale are 40 numbers of 415, 212-FLOWERS, and 40 toll-free ones.
us = c.available_phone_numbers("US")
found = us.local.list(area_code=415, limit=20)
assert len(found) == 20 and all(one.phone_number.startswith("+1415") for one in found)
assert (found[0].region, found[0].iso_country, found[0].locality) == ("CA", "US", None)
assert found[0].capabilities["sms"] is True and found[0].capabilities["fax"] is False
assert [one.friendly_name for one in us.local.list(contains="*FLOWERS")] == ["(212) 356-9377"]
assert [one.phone_number for one in us.local.list(contains="+1212", in_region="NY")] == ["+12123569377"]
assert (len(us.toll_free.list(limit=5000)), len(us.toll_free.list(page_size=7))) == (30, 7)
assert us.toll_free.list(in_region="CA") == us.local.list(fax_enabled=True) == []
assert len(us.local.list(sms_enabled=True, beta=False, exclude_all_address_required=True)) == 30
refused_page(20404, us.mobile.list)
refused_page(20404, c.available_phone_numbers("CA").local.list)
assert [one.country_code for one in c.available_phone_numbers.list()] == ["US"]
assert sorted(us.fetch().subresource_uris) == ["local", "toll_free"]
refused_page(29002, lambda: us.local.list(in_postal_code="94105"), "InPostalCode")
refused_page(29002, lambda: us.local.list(contains="**"), "Contains")
refused_page(21451, lambda: us.local.list(area_code=41))

# Buying, by the number and by its area code.
bought = numbers.create(phone_number=found[0].phone_number, voice_url="http://example.com/a", status_callback="http://example.com/s")
assert (bought.phone_number, bought.status_callback) == (found[0].phone_number, "http://example.com/s")
assert bought.date_created.utcoffset().total_seconds() == 0 and bought.api_version == "2010-04-01"
refused(400, 21422, lambda: numbers.create(phone_number=found[0].phone_number))
assert numbers.create(area_code="415").phone_number.startswith("+1415")
refused(400, 21451, lambda: numbers.create(area_code="416"))
refused(400, 21452, lambda: numbers.create(area_code="213"))
tollfree = us.toll_free.list(limit=1)[0].phone_number
refused(400, 21458, lambda: numbers.local.create(phone_number=tollfree))
assert numbers.toll_free.create(phone_number=tollfree, sms_url="http://example.com/m").sms_url == "http://example.com/m"
application, trunk = "AP" + "1" * 32, "TK" + "2" * 32
assert numbers(bought.sid).update(trunk_sid=trunk).trunk_sid == trunk
changed = numbers(bought.sid).update(voice_application_sid=application)
assert (changed.voice_application_sid, changed.trunk_sid) == (application, None)
refused(400, 21420, lambda: numbers(bought.sid).update(voice_application_sid="AP1"))

# A sub-account: it buys with its owner's money, and its owner acts as it.
before = c.api.account.balance.fetch().balance
made = c.api.accounts.create(friendly_name="s")
assert (made.owner_account_sid, made.status) == (SID, "active")
child, acting = client(made.auth_token, made.sid), client(of=made.sid)
bought = child.incoming_phone_numbers.create(area_code="415")
assert bought.account_sid == made.sid and float(c.api.account.balance.fetch().balance) == float(before) - 1
assert [one.sid for one in acting.incoming_phone_numbers.list()] == [bought.sid]
refused(404, 20404, acting.api.account.balance.fetch)
refused_page(20404, client(made.auth_token, made.sid, of=SID).incoming_phone_numbers.list)
held_by = lambda account: c.api.accounts(account).incoming_phone_numbers(bought.sid)
moved = held_by(made.sid).update(account_sid=SID)
assert (moved.account_sid, moved.sid) == (SID, bought.sid)
assert held_by(SID).update(account_sid=made.sid).account_sid == made.sid
refused(400, 21474, lambda: child.api.accounts(made.sid).incoming_phone_numbers(bought.sid).update(account_sid=SID))
status = lambda given: c.api.accounts(made.sid).update(status=given).status
assert status("suspended") == "suspended"
refused(403, 20005, lambda: child.incoming_phone_numbers.create(area_code="415"))
assert status("active") == "active" and status("closed") == "closed"
assert acting.incoming_phone_numbers.list() == []
refused(401, 20003, child.api.accounts(made.sid).fetch)
refused(400, 21479, lambda: status("active"))
assert [one.sid for one in c.api.accounts.list(status="closed")] == [made.sid]

# An API key of the account: it does all but manage accounts and keys.
key = c.new_keys.create(friendly_name="k")
assert (key.sid[:2], len(key.secret), key.friendly_name) == ("SK", 32, "k")
by_key = client(key.secret, key.sid, SID)
assert len(by_key.incoming_phone_numbers.list(limit=5)) == 5
assert by_key.incoming_phone_numbers.create(area_code="415").account_sid == SID
refused_page(20006, by_key.api.accounts.list)
refused(403, 20006, lambda: by_key.new_keys.create())
assert [one.sid for one in c.keys.list()] == [key.sid]
assert c.keys(key.sid).update(friendly_name="r").friendly_name == c.keys(key.sid).fetch().friendly_name == "r"
assert c.keys(key.sid).delete() is True
refused(404, 20404, c.keys(key.sid).fetch)
print("ok")
