"""What twilio-python of 2016 must be able to do here. SITE, SID and TOKEN come from the environment."""

import os
import sys
import urllib.parse

# It looks for parse_qs here, or in cgi, from where it went with Python 3.8.
sys.modules["urlparse"] = urllib.parse

from twilio import TwilioRestException
from twilio.rest import TwilioRestClient

SITE, SID, TOKEN = (os.environ[name] for name in ("SITE", "SID", "TOKEN"))


def client(token=TOKEN, sid=SID):
    return TwilioRestClient(sid, token, base=SITE)


def refused(status, code, call):
    try:
        call()
    except TwilioRestException as error:
        assert (error.status, error.code) == (status, code), error
        return
    raise AssertionError(f"{code} was expected")


c = client()
numbers = c.phone_numbers

account = c.accounts.get(SID)
assert (account.status, account.type, account.auth_token) == ("active", "Full", None)
assert [one.sid for one in c.accounts.list()] == [SID]
refused(401, 20003, lambda: client("x" * 32).phone_numbers.list())

# 120 local numbers and 3 toll-free ones are held. A page of 50 is what it asks for by itself.
pages = [numbers.list(page=page, page_size=50) for page in range(4)]
assert [len(page) for page in pages] == [50, 50, 23, 0]
held = [one for page in pages for one in page]
assert len({one.sid for one in held}) == 123 and len(numbers.list()) == 50
assert (len(numbers.list(type="local", page_size=200)), len(numbers.list(type="tollfree"))) == (120, 3)
assert len(numbers.list(phone_number="867001")) == 10 and len(numbers.list(friendly_name="a b")) == 1
# From Python 3.7 on its iterator cannot end, but it must come to the end, over all pages.
walked = []
try:
    walked.extend(one.sid for one in numbers.iter())
except RuntimeError:
    pass
assert walked == [one.sid for one in held], len(walked)

# A search, a purchase of what was found, and one by area code.
found = numbers.search(area_code=415)
assert len(found) == 30 and all(one.phone_number.startswith("+1415") for one in found)
assert (found[0].region, found[0].iso_country, found[0].beta) == ("CA", "US", False)
assert len(numbers.search(type="tollfree", contains="80055501**")) == 30
refused(400, 29002, lambda: numbers.search(postal_code="94105"))
bought = found[0].purchase(voice_url="http://example.com/a", status_callback_url="http://example.com/s")
assert (bought.phone_number, bought.voice_url) == (found[0].phone_number, "http://example.com/a")
assert bought.status_callback == "http://example.com/s" and bought.capabilities["sms"] is True
assert numbers.get(bought.sid).date_created == bought.date_created
refused(400, 21422, found[0].purchase)
assert numbers.purchase(area_code="415", type=None).phone_number.startswith("+1415")
refused(400, 21452, lambda: numbers.purchase(area_code="213"))

# Updates by the list and by the number itself, and the release.
assert numbers.update(bought.sid, voice_url="http://example.com/b", voice_caller_id_lookup=True).voice_caller_id_lookup is True
bought.update(sms_url="http://example.com/m", friendly_name="x")
assert (bought.voice_url, bought.sms_url, bought.friendly_name) == ("http://example.com/b", "http://example.com/m", "x")
refused(400, 21402, lambda: numbers.update(bought.sid, voice_url="nope"))
assert numbers.delete(bought.sid) is True
refused(404, 20404, lambda: numbers.get(bought.sid))
refused(404, 20404, bought.delete)

# A sub-account buys, gets a number from its owner, and is closed.
made = c.accounts.create(friendly_name="s")
assert (made.owner_account_sid, made.friendly_name, made.status) == (SID, "s", "active")
child = client(made.auth_token, made.sid)
its = child.phone_numbers.purchase(area_code="415")
assert its.account_sid == made.sid
given = numbers.transfer(held[-1].sid, made.sid)
assert (given.account_sid, given.sid) == (made.sid, held[-1].sid)
assert [one.sid for one in child.phone_numbers.list()] == [its.sid, given.sid]
assert c.accounts.suspend(made.sid).status == "suspended"
refused(403, 20005, lambda: child.phone_numbers.purchase(area_code="415"))
assert c.accounts.close(made.sid).status == "closed"
refused(401, 20003, lambda: child.phone_numbers.list())
assert [one.sid for one in c.accounts.list(status="closed")] == [made.sid]
print("ok")
